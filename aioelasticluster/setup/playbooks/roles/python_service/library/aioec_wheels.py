#!/usr/bin/python
"""An Ansible module: fetches wheels from the package index into one archive."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tempfile
import zipfile
from subprocess import PIPE, STDOUT

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_wheels
short_description: fetches requirements, and what they require, into a zip file
description:
  - Runs the host's own pip, or one that its Python brings along.
options:
  dest: {type: path, required: true, description: The archive to write.}
  requirements: {type: list, elements: str, required: true, description: What to fetch.}
  pip_arguments: {type: list, elements: str, default: [], description: More options.}
"""


def main() -> None:
    """Fetch the wheels."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "requirements": {"type": "list", "elements": "str", "required": True},
            "pip_arguments": {"type": "list", "elements": "str", "default": []},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        try:
            fetch(folder, module.params["requirements"], module.params["pip_arguments"])
        except subprocess.CalledProcessError as fault:
            module.fail_json(msg=f"could not fetch: {fault.output.strip()}")
        archive = module.params["dest"]
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
            for wheel in sorted(glob.glob(os.path.join(folder, "wheels", "*.whl"))):
                packed.write(wheel, os.path.basename(wheel))
    module.exit_json(changed=True, dest=archive)


def fetch(folder: str, requirements: list[str], arguments: list[str]) -> None:
    """Put the wheels, and pip's own, into `folder/wheels`; build what has none."""
    wheels = os.path.join(folder, "wheels")
    pip = [usable_python(folder), "-m", "pip", "--disable-pip-version-check"]
    # An older pip would else build old packages with whatever tools the host has.
    options = ["--quiet", "--use-pep517", "-w", wheels]
    run([*pip, "wheel", *options, *arguments, "pip", *requirements])


def usable_python(folder: str) -> str:
    """Return an interpreter that has pip: this one, or a throw-away environment's."""
    # Asked in a process of its own: this one may import what only its sender has.
    asked = [sys.executable, "-m", "pip", "--version"]
    if subprocess.run(asked, stdout=PIPE, stderr=STDOUT).returncode == 0:
        return sys.executable
    path = os.path.join(folder, "env")
    run([sys.executable, "-m", "venv", path])  # Debian needs python3-venv for it
    return os.path.join(path, "bin", "python")


def run(command: list[str]) -> None:
    """Run a command; its output goes into the error that it may raise."""
    subprocess.run(
        command,
        check=True,
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
    )


if __name__ == "__main__":
    main()
