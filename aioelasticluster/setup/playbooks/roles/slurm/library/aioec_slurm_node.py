#!/usr/bin/python
"""An Ansible module: what a host can offer to Slurm, as it finds it."""

from __future__ import annotations

import glob
import os
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_slurm_node
short_description: tells what a host can offer to Slurm
description:
  - Returns C(node), in which are C(hardware) as in a line of slurm.conf, its
    C(memory_per_cpu) (MiB), the device files of C(gpus), which C(cgroup) hierarchy
    there is (C(v1), C(v2), C(none)), whether Slurm C(confines) jobs with it, and the
    C(version) of slurmd.
options:
  kind: {type: str, required: true, description: The kind of node; returned with it.}
  address: {type: str, required: true, description: Likewise.}
  contained:
    type: bool
    default: false
    description: Whether the host is a container, in which cgroups are another's.
"""

#: What slurmd says about the hardware and slurm.conf takes.
KEPT = ("CPUs", "Boards", "SocketsPerBoard", "CoresPerSocket", "ThreadsPerCore")

#: What Slurm confines jobs with.
CONTROLLERS = {"cpuset", "memory"}

MEBIBYTE = 1024 * 1024


def main() -> None:
    """Look, and tell; nothing is ever changed."""
    module = AnsibleModule(
        argument_spec={
            "kind": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "contained": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    _, description, _ = module.run_command(["slurmd", "-C"], check_rc=True)
    _, version, _ = module.run_command(["slurmd", "-V"], check_rc=True)
    cgroup = hierarchy("/sys/fs/cgroup")
    node = {
        "kind": module.params["kind"],
        "address": module.params["address"],
        **hardware(description, memory_limit("/sys/fs/cgroup/memory.max")),
        "gpus": gpus(glob.glob("/dev/nvidia*")),
        "cgroup": cgroup,
        "confines": cgroup != "none" and not module.params["contained"],
        "version": version.split()[-1],
    }
    module.exit_json(changed=False, node=node)


def hardware(description: str, limit: int | None) -> dict[str, object]:
    """Return slurmd's own description, with no more memory (MiB) than the limit."""
    found = dict(re.findall(r"(\w+)=(\S+)", description))
    memory = int(found["RealMemory"])
    usable = memory if limit is None else min(memory, limit)
    kept = [f"{name}={found[name]}" for name in KEPT if name in found]
    return {
        "hardware": " ".join([*kept, f"RealMemory={usable}"]),
        "memory_per_cpu": usable // int(found["CPUs"]),
    }


def memory_limit(path: str) -> int | None:
    """Return the limit (MiB) in a file of the cgroup hierarchy; None: there is none."""
    try:
        with open(path) as file:
            text = file.read().strip()
    except OSError:
        return None
    return int(text) // MEBIBYTE if text.isdigit() else None


def gpus(devices: list[str]) -> list[str]:
    """Return the device files of GPUs, less the driver's own, by number."""
    numbered = {d: re.fullmatch(r"/dev/nvidia(\d+)", d) for d in devices}
    return sorted(
        (device for device, match in numbered.items() if match),
        key=lambda device: int(device.removeprefix("/dev/nvidia")),
    )


def hierarchy(root: str) -> str:
    """Return the version of the cgroup hierarchy; `none`: one that Slurm cannot use."""
    try:
        with open(os.path.join(root, "cgroup.controllers")) as file:
            return "v2" if set(file.read().split()) >= CONTROLLERS else "none"
    except OSError:
        pass
    if os.path.exists(os.path.join(root, "unified")):
        return "none"  # both at once: Slurm refuses that
    mounted = {name for name in CONTROLLERS if os.path.isdir(os.path.join(root, name))}
    return "v1" if mounted == CONTROLLERS else "none"


if __name__ == "__main__":
    main()
