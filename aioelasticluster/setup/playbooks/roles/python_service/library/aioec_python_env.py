#!/usr/bin/python
"""An Ansible module: a Python environment from wheels that are already here."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from glob import glob
from shlex import quote

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_python_env
short_description: a Python environment from an archive of wheels
description:
  - Without O(wheels) it only tells whether the environment is as wanted.
  - With O(wheels) it builds the environment anew, in a folder that nobody else can
    look into, unless it has an O(owner). The host needs neither pip nor the network,
    for pip comes as one of the wheels.
  - With O(launcher) it writes a script that runs the environment's Python.
options:
  path: {type: path, required: true, description: Where the environment is.}
  requirements: {type: list, elements: str, required: true, description: What is in it.}
  wheels: {type: path, description: A zip file with all the wheels. It is removed.}
  owner: {type: str, default: "", description: Whose it is to be; ours by default.}
  compile:
    type: list
    elements: str
    default: []
    description: Modules to compile now, with all that they import, not on use.
  launcher: {type: path, description: A script to write, which runs its Python.}
  variables: {type: dict, default: {}, description: What the launcher exports.}
"""

RETURN = """
installed: {type: bool, description: Whether the environment is as wanted.}
path: {type: path, description: Where the environment is, without `~`.}
folder: {type: path, description: The folder that it is in.}
key: {type: str, description: Hosts with equal keys can use each other's wheels.}
"""


def main() -> None:
    """Tell of the environment, build it, or write its launcher."""
    if os.geteuid() == 0:
        os.umask(0o022)  # other users read it, however strict root's is
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "requirements": {"type": "list", "elements": "str", "required": True},
            "wheels": {"type": "path"},
            "owner": {"type": "str", "default": ""},
            "compile": {"type": "list", "elements": "str", "default": []},
            "launcher": {"type": "path"},
            "variables": {"type": "dict", "default": {}},
        }
    )
    path, requirements = module.params["path"], module.params["requirements"]
    to_compile, key, changed = module.params["compile"], key_of(requirements), False
    if module.params["wheels"]:
        try:
            make_folder(os.path.dirname(path), module.params["owner"])
            install(path, requirements, module.params["wheels"])
            if to_compile:
                run([python_of(path), "-c", "import " + ", ".join(to_compile)])
            give(path, module.params["owner"])
            note(path, key)
        except subprocess.CalledProcessError as fault:
            module.fail_json(msg=f"pip could not install: {fault.output.strip()}")
        except LookupError as fault:
            module.fail_json(msg=f"owner: {fault}")
        changed = True
    elif module.params["launcher"]:
        launcher, variables = module.params["launcher"], module.params["variables"]
        changed = launch_by(launcher, python_of(path), variables)
    module.exit_json(
        changed=changed,
        installed=is_installed(path, key),
        path=path,
        folder=os.path.dirname(path),
        key=key,
    )


def key_of(requirements: list[str]) -> str:
    """Return what an environment with these requirements depends on."""
    version = ".".join(map(str, sys.version_info[:2]))
    facts = [version, sysconfig.get_platform(), platform.libc_ver(), requirements]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return f"py{version}-{digest}"


def is_installed(path: str, key: str) -> bool:
    """Tell whether the last build of the environment was one with this key."""
    try:
        with open(os.path.join(path, "aioec-key")) as file:
            return file.read() == key and os.access(python_of(path), os.X_OK)
    except OSError:
        return False


def python_of(path: str) -> str:
    """Return the environment's interpreter."""
    return os.path.join(path, "bin", "python")


def make_folder(folder: str, owner: str) -> None:
    """Make the folder: ours alone, or the owner's with everybody looking in."""
    os.makedirs(folder, mode=0o755 if owner else 0o700, exist_ok=True)
    if owner:
        shutil.chown(folder, owner)


def give(path: str, owner: str) -> None:
    """Give the environment to its owner, so that modules are compiled only once."""
    if not owner:
        return
    account = pwd.getpwnam(owner)
    for folder, _, names in os.walk(path):
        for name in [folder, *(os.path.join(folder, name) for name in names)]:
            os.chown(name, account.pw_uid, account.pw_gid, follow_symlinks=False)


def install(path: str, requirements: list[str], wheels: str) -> None:
    """Build the environment, and remove the archive."""
    shutil.rmtree(path, ignore_errors=True)
    run([sys.executable, "-m", "venv", "--without-pip", path])
    # Beside it, for what is large may not fit into /tmp.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        with zipfile.ZipFile(wheels) as archive:
            archive.extractall(folder)
        give_pip(path, folder)
        # Compiling all of it takes longer than all the rest, and little is imported.
        options = ["--quiet", "--no-compile", "--no-index", "--find-links", folder]
        pip = [python_of(path), "-m", "pip", "--disable-pip-version-check"]
        run([*pip, "install", *options, *requirements])
    os.unlink(wheels)


def note(path: str, key: str) -> None:
    """Write the key: the last step, so that half an environment counts as none."""
    with open(os.path.join(path, "aioec-key"), "w") as file:
        file.write(key)


def give_pip(path: str, folder: str) -> None:
    """Unpack pip's wheel: much faster than ensurepip, which hosts may lack."""
    (wheel,) = glob(os.path.join(folder, "pip-*.whl"))
    question = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = run([python_of(path), "-c", question]).strip()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)


def launch_by(launcher: str, python: str, variables: dict[str, object]) -> bool:
    """Write the launcher; tell whether it was another one before."""
    exports = [f"export {name}={quote(str(variables[name]))}" for name in variables]
    words = ["#!/bin/sh", *exports, f'exec {quote(python)} "$@"', ""]
    text = "\n".join(words)
    if os.path.exists(launcher):
        with open(launcher) as file:
            if file.read() == text:
                return False
    os.makedirs(os.path.dirname(launcher), exist_ok=True)
    with open(launcher, "w") as file:
        file.write(text)
    os.chmod(launcher, 0o755)
    return True


def run(command: list[str]) -> str:
    """Run a command and return its output."""
    return subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout


if __name__ == "__main__":
    main()
