#!/usr/bin/python
"""An Ansible module: a file system that is mounted now, and after the next boot."""

from __future__ import annotations

import os
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_mount
short_description: has a file system mounted, now and after the next boot
description:
  - Writes /etc/fstab, makes the folder and mounts. It counts only if the folder can be
    listed then.
options:
  source: {type: str, required: true, description: What to mount.}
  path: {type: path, required: true, description: Where.}
  fstype: {type: str, required: true, description: How, as fstab calls it.}
  options: {type: str, default: defaults, description: With which options.}
  timeout: {type: int, default: 60, description: How long it may take (seconds).}
"""

FSTAB = "/etc/fstab"


def main() -> None:
    """Have it mounted; tell whether that is new."""
    os.umask(0o022)  # what a system's services read, however strict root's is
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "fstype": {"type": "str", "required": True},
            "options": {"type": "str", "default": "defaults"},
            "timeout": {"type": "int", "default": 60},
        }
    )
    wanted = module.params
    source, path, fstype = wanted["source"], wanted["path"], wanted["fstype"]
    changed = note(f"{source} {path} {fstype} {wanted['options']} 0 0", path)
    mounted = at(path)
    if not mounted or not mounted[1].endswith(fstype):
        os.makedirs(path, exist_ok=True)
        changed = True
        run(module, "mount", path)
    elif not same(mounted[0], source):
        module.fail_json(msg=f"{mounted[0]} is mounted at {path}, not {source}")
    run(module, "ls", path)
    module.exit_json(changed=changed)


def note(line: str, path: str) -> bool:
    """Have this line for a path in /etc/fstab; return whether it was not there."""
    try:
        with open(FSTAB) as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        lines = []
    others = [each for each in lines if each.split("#")[0].split()[1:2] != [path]]
    if [*others, line] == lines or (line in lines and len(others) == len(lines) - 1):
        return False
    with open(f"{FSTAB}.new", "w") as file:
        file.writelines(f"{each}\n" for each in [*others, line])
    os.replace(f"{FSTAB}.new", FSTAB)
    return True


def at(path: str) -> tuple[str, str] | None:
    """Return source and type of what is mounted at a path, the last if several are."""
    found = None
    with open("/proc/self/mounts") as table:
        for row in table:
            source, where, fstype = (plain(word) for word in row.split()[:3])
            if where == path:
                found = source, fstype
    return found


def same(mounted: str, wanted: str) -> bool:
    """Tell whether what is mounted is a wanted server's folder."""
    server, _, folder = mounted.rpartition(":")
    servers, _, wanted_folder = wanted.rpartition(":")
    return server in servers.split(",") and folder.strip("/") == wanted_folder.strip(
        "/"
    )


def plain(word: str) -> str:
    """Return a word of the kernel's table without its escapes for blanks."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)


def run(module: AnsibleModule, *command: str) -> None:
    """Run a command within the time there is; fail with what it says."""
    seconds = str(module.params["timeout"])
    status, output, errors = module.run_command(
        ["timeout", "--kill-after=5", seconds, *command]
    )
    if status != 0:
        words = f"{errors}{output}".strip() or f"nothing happens for {seconds} s"
        module.fail_json(msg=f"{' '.join(command)}: {words}")


if __name__ == "__main__":
    main()
