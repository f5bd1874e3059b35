#!/usr/bin/python
"""An Ansible module: files with given contents, all in one step."""

from __future__ import annotations

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_files
short_description: has files with given contents, all in one step
description:
  - M(ansible.builtin.template) takes two steps for each file; on many hosts, with
    several files, that is what a run spends its time with.
  - Each file is replaced at once, so that nobody reads half of it. Missing folders are
    made, open to all readers. A text gets the end of its last line if that is missing.
options:
  files: {type: dict, default: {}, description: Contents by path.}
  blocks:
    type: dict
    default: {}
    description: Contents by path of a part of the file, between two comments; the rest
      of it belongs to others, and stays.
  label: {type: str, default: "", description: What the comments call that part.}
  mode: {type: str, default: "0644", description: The mode of each.}
"""

RETURN = """
written: {type: list, elements: path, description: What was not as wanted.}
"""


def main() -> None:
    """Write what is not as wanted."""
    os.umask(0o022)  # what a system's services read, however strict root's is
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "dict", "default": {}},
            "blocks": {"type": "dict", "default": {}},
            "label": {"type": "str", "default": ""},
            "mode": {"type": "str", "default": "0644"},
        },
        supports_check_mode=True,
    )
    mode, written = int(module.params["mode"], 8), []
    wanted = {path: ended(text) for path, text in module.params["files"].items()}
    for path, content in module.params["blocks"].items():
        present, _ = now(path) or ("", 0)
        wanted[path] = with_block(present, ended(content), module.params["label"])
    for path, text in wanted.items():
        if now(path) != (text, mode):
            written.append(path)
            if not module.check_mode:
                write(path, text, mode)
    module.exit_json(changed=bool(written), written=written)


def ended(text: str) -> str:
    """Return a text with the end of its last line."""
    return f"{text}\n" if text and not text.endswith("\n") else text


def with_block(text: str, block: str, label: str) -> str:
    """Return a text with this block in the place of the one of the same label."""
    begin, end = f"# BEGIN {label}\n", f"# END {label}\n"
    before, _, rest = ended(text).partition(begin)
    _, found, after = rest.partition(end)
    return before + begin + block + end + (after if found else rest)


def now(path: str) -> tuple[str, int] | None:
    """Return a file's content and mode; None if there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(), os.fstat(file.fileno()).st_mode & 0o7777
    except FileNotFoundError:
        return None


def write(path: str, text: str, mode: int) -> None:
    """Replace a file at once."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w",
        dir=folder,
        prefix=".",
        delete=False,
        encoding="utf-8",
        errors="surrogateescape",
    ) as file:
        file.write(text)
    os.chmod(file.name, mode)
    os.replace(file.name, path)


if __name__ == "__main__":
    main()
