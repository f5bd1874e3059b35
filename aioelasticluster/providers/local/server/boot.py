"""Applies what user-data asks for, once, and writes in the log what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aioelasticluster.providers.cloud_config import (
    BootPlan,
    Command,
    WriteFile,
    shell_script,
)
from aioelasticluster.providers.local.environment import Place, shell
from aioelasticluster.providers.local.server.children import Children
from aioelasticluster.providers.local.server.journal import Journal

#: How much (characters) of a command's output the log keeps.
_KEPT = 16 * 1024


class Boot:
    """One instance's first and only boot."""

    def __init__(
        self, plan: BootPlan, children: Children, place: Place, journal: Journal
    ) -> None:
        self._plan, self._children = plan, children
        self._place, self._journal = place, journal

    async def before_ssh(self) -> None:
        """Do what comes before anybody can log in: `bootcmd` and `write_files`."""
        for remark in self._plan.remarks:
            self._journal.write("user-data", remark=remark)
        self._write_prompt()
        await self._run_all("bootcmd", self._plan.boot_commands)
        for file in self._plan.files:
            self._write(file)

    async def after_ssh(self) -> None:
        """Do what may take long: `runcmd` and scripts, one after another."""
        await self._run_all("runcmd", self._plan.run_commands)
        for number, script in enumerate(self._plan.scripts):
            path = self._place.folder.path / f"script-{number}"
            await self._run("script", [str(path)], script)
        self._journal.write("boot-finished")

    async def _run_all(self, what: str, commands: Sequence[Command]) -> None:
        if commands:
            await self._run(what, [shell(), "-c", shell_script(commands)])

    async def _run(self, what: str, arguments: list[str], script: str = "") -> None:
        """Run a command; like a cloud, write down a failure and go on."""
        output = self._place.folder.path / "output.txt"
        try:
            output.write_bytes(b"")
            if script:
                _put(Path(arguments[0]), _script(script))
            status = await self._children.run(arguments, output)
        except OSError as fault:
            self._journal.write(what, command=arguments, fault=str(fault))
            return
        text = output.read_text(errors="replace")[-_KEPT:]
        self._journal.write(what, command=arguments, status=status, output=text)

    def _write(self, file: WriteFile) -> None:
        """Write a file in the home or beside it; the rest belongs to the machine."""
        folder = self._place.folder
        path = (folder.home / file.path).resolve()
        if not path.is_relative_to(folder.path.resolve()):
            self._journal.write(
                "write_files", path=file.path, fault="skipped: not inside the home"
            )
            return
        try:
            _put(path, file)
        except OSError as fault:
            self._journal.write("write_files", path=file.path, fault=str(fault))
        else:
            said = {"remark": f"owner {file.owner} ignored"} if file.owner else {}
            self._journal.write("write_files", path=str(path), **said)

    def _write_prompt(self) -> None:
        """Let interactive shells show the node's name."""
        prompt = f"PS1='\\u@{self._place.node}:\\w\\$ '\n"
        (self._place.folder.home / ".bashrc").write_text(prompt)


def _script(text: str) -> WriteFile:
    return WriteFile(path="", content=text.encode(), permissions=0o700)


def _put(path: Path, file: WriteFile) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab" if file.append else "wb") as opened:
        opened.write(file.content)
    if file.permissions is not None:
        path.chmod(file.permissions)
