"""What an operation came to, node by node: values that read well when printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFault:
    """What went wrong with one node: at which step, with which message.

    `step` is `launch`, `boot`, `ssh` or `stop`; `error` is the error itself.
    """

    node: str
    step: str
    message: str
    error: Exception | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.node}: {self.step}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReport:
    """What `start` (or `resize`, `resume`) came to.

    `alive` are all nodes that answer now, `launched` those that this call launched,
    `adopted` those that an earlier, interrupted call had launched, `booting` the
    stragglers that were kept on request, `failed` the rest; `unrotated` those that
    still show their batch's host key, with the reason. `seconds` is wall time.
    """

    cluster: str
    alive: tuple[str, ...] = ()
    launched: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()
    booting: tuple[str, ...] = ()
    failed: tuple[NodeFault, ...] = ()
    unrotated: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every planned node is alive."""
        return not self.failed and not self.booting

    def __str__(self) -> str:
        head = (
            f"cluster {self.cluster}: {len(self.alive)} alive, "
            f"{len(self.booting)} booting, {len(self.failed)} failed "
            f"after {self.seconds:.1f} s"
        )
        return "\n  ".join([head, *map(str, self.failed)])


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """What set-up did on one host; `message` belongs to the failed task.

    `notes` are what tasks had to say although they did not fail: why something was
    left out.
    """

    host: str
    ok: int = 0
    changed: int = 0
    skipped: int = 0
    failed_task: str = ""
    message: str = ""
    unreachable: bool = False
    notes: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the host was reached and no task failed on it."""
        return not self.failed_task and not self.unreachable

    def __str__(self) -> str:
        if self.succeeded:
            counts = f"{self.host}: {self.ok} ok, {self.changed} changed"
            return "; ".join([counts, *self.notes])
        step = "unreachable" if self.unreachable else f"task {self.failed_task!r}"
        return f"{self.host}: {step}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupReport:
    """What `setup` came to, host by host.

    `message` says what stopped the run as a whole, if anything did; `output` is the
    end of the tool's own output.
    """

    hosts: Mapping[str, HostReport] = field(default_factory=dict)
    message: str = ""
    output: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every host was set up."""
        return not self.message and all(host.succeeded for host in self.hosts.values())

    @property
    def changed(self) -> int:
        """How many task results changed something."""
        return sum(host.changed for host in self.hosts.values())

    @property
    def failed(self) -> tuple[str, ...]:
        """The hosts that were not set up."""
        return tuple(name for name, host in self.hosts.items() if not host.succeeded)

    def __str__(self) -> str:
        good = len(self.hosts) - len(self.failed)
        head = f"set up {good} of {len(self.hosts)} hosts in {self.seconds:.1f} s"
        told = [str(host) for host in self.hosts.values() if _worth_telling(host)]
        return "\n  ".join([head, *([self.message] if self.message else []), *told])


def _worth_telling(host: HostReport) -> bool:
    return bool(not host.succeeded or host.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a command came to on one node; `status` is None if it never ran.

    `error` says why it never ran or was cut off.
    """

    node: str
    command: str
    status: int | None = None
    stdout: str = ""
    stderr: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the command ran and exited with 0."""
        return self.status == 0
