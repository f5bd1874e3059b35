#!/usr/bin/python
"""An Ansible module: which NFS a host can do, and why not."""

from __future__ import annotations

import ctypes
import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_nfs_support
short_description: tells which NFS a host can do, and why not
description:
  - NFS is a part of the kernel, which hosts may lack; containers have that of their
    machine, and may not load more of it.
options:
  exports: {type: list, elements: path, default: [], description: What it exports.}
"""

RETURN = """
server: {type: str, description: "`kernel`, `ganesha` or empty: what can serve here."}
server_reason: {type: str, description: Why nothing can.}
client: {type: bool, description: Whether the host can mount.}
client_reason: {type: str, description: Why it cannot.}
"""

#: The number of the capability to open files by their handles.
DAC_READ_SEARCH = 2

#: "The working directory", for calls that take a folder: not used with full paths.
AT_FDCWD = -100


def main() -> None:
    """Tell what the host can do."""
    module = AnsibleModule(
        argument_spec={"exports": {"type": "list", "elements": "path", "default": []}}
    )
    kernel = f"the kernel {os.uname().release} has no NFS"
    client = has(module, "nfs", "nfs4")
    found = {
        "client": client,
        "client_reason": "" if client else f"{kernel} client",
        "server": "kernel",
        "server_reason": "",
    }
    if not has(module, "nfsd", "nfsd"):
        reason = without_handles(module.params["exports"])
        found["server"] = "" if reason else "ganesha"
        found["server_reason"] = (
            f"{kernel} server, and one outside of the kernel cannot work: {reason}"
            if reason
            else ""
        )
    module.exit_json(changed=False, **found)


def has(module: AnsibleModule, driver: str, name: str) -> bool:
    """Tell whether the kernel knows a file system, once its driver is loaded."""
    modprobe = module.get_bin_path("modprobe", opt_dirs=["/usr/sbin", "/sbin"])
    if modprobe:
        module.run_command([modprobe, "--quiet", driver])
    with open("/proc/filesystems") as file:
        return any(line.split()[-1] == name for line in file)


def without_handles(paths: list[str]) -> str:
    """Return why a server outside of the kernel cannot serve these paths, or nothing.

    It knows files by handles, which not every file system has.
    """
    if not capable(DAC_READ_SEARCH):
        return "the host lacks the capability DAC_READ_SEARCH"
    lacking = [path for path in paths if not has_handles(path)]
    return f"the file system at {lacking[0]} has no file handles" if lacking else ""


def capable(number: int) -> bool:
    """Tell whether this process has a capability."""
    with open("/proc/self/status") as file:
        held = next(line.split()[1] for line in file if line.startswith("CapEff:"))
    return bool(int(held, 16) >> number & 1)


def has_handles(path: str) -> bool:
    """Tell whether the file system at a path, or at its nearest parent, has handles."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    libc = ctypes.CDLL(None, use_errno=True)
    # A handle is its length, its kind and up to 128 bytes.
    handle = (ctypes.c_uint32 * 34)(128)
    mount = ctypes.c_int()
    status = libc.name_to_handle_at(
        AT_FDCWD, path.encode(), ctypes.byref(handle), ctypes.byref(mount), 0
    )
    return bool(status == 0)


if __name__ == "__main__":
    main()
