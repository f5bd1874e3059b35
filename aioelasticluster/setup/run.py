"""One run of ansible-playbook: a private folder, a child process, a report."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.finish import finish
from aioelasticluster._aio.processes import end_marked, run_process
from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.reports import SetupReport
from aioelasticluster.setup import mitogen
from aioelasticluster.setup.base import SetupCluster
from aioelasticluster.setup.environment import configuration, environment
from aioelasticluster.setup.inventory import elasticluster_facts
from aioelasticluster.setup.passphrase import (
    answering,
    askpass_environment,
    askpass_files,
)
from aioelasticluster.setup.transcript import Mask, Transcript
from aioelasticluster.setup.workspace import ClusterFolder, RunFolder, mark_of

#: How much of the end of Ansible's output (bytes) goes into the report.
LONGEST_OUTPUT = 64 * 1024

#: How long (seconds) the last events may be on their way after the process's end.
LAST_EVENTS = 2.0

#: How long (seconds) clean-up may take.
PATIENCE = 60.0

in_thread = Blocking(width=4, patience=PATIENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookRun:
    """What one run of ansible-playbook is to do.

    `variables` are extra variables that may be shown, `secrets` such as may not. What
    is known of `fresh` hosts from earlier runs is forgotten first. An `ansible.cfg`
    may lie `beside` these playbooks.
    """

    cluster: SetupCluster
    playbook: str
    inventory: Mapping[str, Any]
    targets: tuple[str, ...]
    kept: ClusterFolder
    forks: int
    variables: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    any_errors_fatal: bool = False
    fresh: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    mitogen: bool = False
    timeout: float | None = None

    async def execute(self) -> SetupReport:
        """Run it and report; nothing is left, neither a process nor a file.

        On cancellation Ansible is stopped, gently at first, and all is removed.
        """
        token = token_hex(8)
        transcript = Transcript(
            cluster=self.cluster.name,
            targets=self.targets,
            listen=self.cluster.listen,
            mask=Mask(self.secrets),
        )
        began = asyncio.get_running_loop().time()
        async with self._prepared(token) as folder:
            status, stopped = await self._played(folder, token, transcript)
            output = await in_thread(_tail_of, folder.output)
        seconds = asyncio.get_running_loop().time() - began
        return transcript.report(status, output, seconds, stopped)

    @asynccontextmanager
    async def _prepared(self, token: str) -> AsyncIterator[RunFolder]:
        """Hold the run's folder for the block, and end what outlives the block."""
        folder = await in_thread(RunFolder.named, self.kept, token)
        try:
            await in_thread(self._prepare, folder)
            yield folder
        finally:
            await finish(_leave_nothing(folder, token), patience=PATIENCE)

    def _prepare(self, folder: RunFolder) -> None:
        try:
            self._write(folder)
        except OSError as fault:
            raise ConfigurationError(
                "work_dir",
                str(self.kept.path.parent),
                f"private files cannot be written there: {fault}",
                "Give another folder",
            ) from fault

    def _write(self, folder: RunFolder) -> None:
        self.kept.forget_dead_runs()
        self.kept.forget_facts(self.fresh)
        folder.make()
        facts = elasticluster_facts(self.cluster, str(folder.done))
        variables = {
            "elasticluster": facts,
            "aioec_run": str(folder.temporary),
            **self.variables,
            **self.secrets,
        }
        folder.write_plan(self.inventory, variables, self.targets)
        folder.write_ssh(self.cluster)
        if self.cluster.passphrase:
            for path, text in askpass_files(folder.path, _asked_at(folder)).items():
                folder.write(path, text, mode=0o700)

    async def _played(
        self, folder: RunFolder, token: str, transcript: Transcript
    ) -> tuple[int | None, str]:
        """Run the playbook; return the exit status, or why it was stopped."""
        async with AsyncExitStack() as stack:
            if self.cluster.passphrase:
                key, passphrase = self.cluster.private_key_path, self.cluster.passphrase
                await stack.enter_async_context(
                    answering(_asked_at(folder), key, passphrase)
                )
            stream = await stack.enter_async_context(lines_of_a_pipe(transcript.take))
            try:
                async with asyncio.timeout(self.timeout):
                    return await self._run(folder, token, stream), ""
            except TimeoutError:
                return None, f"stopped after {self.timeout:g} s, its time was up"

    async def _run(self, folder: RunFolder, token: str, stream: int) -> int:
        settings = await in_thread(self._environment, folder, token, stream)
        with await in_thread(open, folder.output, "wb") as output:
            return await run_process(
                self._command(folder),
                environment=settings,
                folder=folder.path,
                output=output,
                pass_fds=[stream],
            )

    def _command(self, folder: RunFolder) -> list[str]:
        everyone = len(self.targets) == len(self.cluster.hosts)
        limit = () if everyone else ("--limit", f"@{folder.limit}")
        return [
            *(sys.executable, "-m", "ansible", "playbook"),
            *("--inventory", str(folder.inventory)),
            *limit,
            *("--extra-vars", f"@{folder.variables}"),
            *("--forks", str(self.forks)),
            *self.arguments,
            self.playbook,
        ]

    def _environment(
        self, folder: RunFolder, token: str, stream: int
    ) -> dict[str, str]:
        settings = environment(folder, self.kept, token, self.any_errors_fatal)
        settings["ANSIBLE_CONFIG"] = configuration(folder, self.beside)
        settings["AIOEC_STREAM_FD"] = str(stream)
        settings["AIOEC_SECRETS"] = str(folder.variables)
        if self.cluster.passphrase:
            settings |= askpass_environment(folder.path)
            settings["ANSIBLE_SFTP_BATCH_MODE"] = "False"  # it would never ask
        elif self.mitogen:
            settings |= mitogen.environment()
        return settings


def _asked_at(folder: RunFolder) -> Path:
    return folder.sockets / "ask"


async def _leave_nothing(folder: RunFolder, token: str) -> None:
    """End every process of the run (OpenSSH's masters stay for a while), then remove.

    In this order: a process could still write into the folder.
    """
    await end_marked(mark_of(token))
    await in_thread(folder.remove)


def _tail_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LONGEST_OUTPUT))
        return file.read().decode(errors="replace")


@asynccontextmanager
async def lines_of_a_pipe(take: Callable[[bytes], None]) -> AsyncIterator[int]:
    """Give out a pipe's end to write to; `take` each line as soon as it is there.

    Leaving the block waits a moment for the lines that are on their way.
    """
    reading, writing = os.pipe()
    reader = _Lines(take)
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.connect_read_pipe(
            lambda: reader, os.fdopen(reading, "rb")
        )
    except BaseException:
        os.close(writing)
        raise
    try:
        yield writing
    finally:
        os.close(writing)
        try:
            async with asyncio.timeout(LAST_EVENTS):
                await reader.ended.wait()
        except TimeoutError:
            pass  # somebody still holds the other end; what counts has been told
        finally:
            transport.close()


class _Lines(asyncio.Protocol):
    """Splits what arrives into lines."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take, self._rest = take, b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set()
