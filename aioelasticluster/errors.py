"""The error tree: one root, classes by what the caller can do.

ElasticlusterError
├── ConfigurationError          mend the named field; nothing was launched
│   └── KeyPairError            mend the SSH key pair
├── UnsupportedError            choose another provider or policy
├── ClusterNotFoundError        no such record (a LookupError)
├── NodeNotFoundError           no such node (a LookupError)
├── ClusterExistsError          the name is taken by another plan
├── ClusterBusyError            another process works on the cluster: try later
├── LeaseLostError              another process took over: stop working
├── WrongAccountError           the credentials belong to another account
├── InvalidTransitionError      a bug: the move is not in the table
├── StartError                  too few nodes; `report` says which and why
│   └── StartTimeoutError       … at the deadline (a TimeoutError)
├── StopTimeoutError            the cloud has not confirmed yet (a TimeoutError)
├── PauseTimeoutError           not all instances are paused yet (a TimeoutError)
├── SetupError                  a host failed; `report` says which and why
├── ImageBuildError             an image for nodes could not be made
├── RepositoryError             the stored record cannot be read or written
├── SshError                    a node cannot be reached
│   ├── UnreachableError        … no answer (retried)
│   ├── AuthenticationError     … it refuses our key
│   └── HostKeyError            … it shows another host key than expected
└── ProviderError               the cloud refused or broke
    ├── ThrottledError          too many requests (retried)
    ├── TransientError          a fault on the cloud's side (retried)
    ├── CapacityError           no room in this zone for this flavor
    ├── QuotaError              the account's limit is reached
    ├── InvalidRequestError     the request can never succeed
    ├── UnauthorizedError       the credentials do not allow it
    └── UnknownOutcomeError     sent, but nobody knows with what result
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from aioelasticluster.model.reports import SetupReport, StartReport


class ElasticlusterError(Exception):
    """Root of all errors that this library raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:
        # Rebuilt from what it holds: its constructor takes facts, not `args`.
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(
    kind: type[ElasticlusterError], args: tuple[object, ...], facts: dict[str, object]
) -> ElasticlusterError:
    """Return an error as it was before it was pickled."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConfigurationError(ElasticlusterError, ValueError):
    """What was asked for is wrong; raised before anything is launched.

    `field` names the argument, `value` what was given, `remedy` what to do.
    """

    def __init__(self, field: str, value: object, problem: str, remedy: str) -> None:
        super().__init__(field, value, problem, remedy)
        self.field, self.value = field, value
        self.problem, self.remedy = problem, remedy

    def __str__(self) -> str:
        return f"{self.field}={self.value!r}: {self.problem}. {self.remedy}"


class KeyPairError(ConfigurationError):
    """The SSH key pair is missing, unreadable, or its halves do not match."""


class UnsupportedError(ElasticlusterError):
    """The provider cannot do this; nothing was touched."""


class ClusterNotFoundError(ElasticlusterError, LookupError):
    """No cluster of this name is recorded in the repository."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no cluster named {name!r} is recorded")
        self.name = name


class NodeNotFoundError(ElasticlusterError, LookupError):
    """The cluster has no node of this name."""

    def __init__(self, name: str, known: tuple[str, ...] = ()) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"no node named {name!r}; the cluster has: {listed}")
        self.name, self.known = name, known


class ClusterExistsError(ElasticlusterError):
    """The name is recorded with another plan; nothing was launched."""

    def __init__(self, name: str, difference: str) -> None:
        super().__init__(
            f"a cluster named {name!r} is recorded with another plan ({difference}); "
            f"use it with `await repository.get({name!r})`, end it with its `stop()`, "
            "or choose another name"
        )
        self.name = name


class ClusterBusyError(ElasticlusterError):
    """Another live process works on the cluster; `holder` says which."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(f"cluster {name!r} is in use by {holder}; try again later")
        self.name, self.holder = name, holder


class LeaseLostError(ElasticlusterError):
    """Another process took the cluster over; this one's writes are refused."""


class WrongAccountError(ElasticlusterError):
    """The credentials belong to another account than the recorded one."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            f"the cluster lives in {expected}, but the credentials lead to {found}; "
            "nothing was touched"
        )
        self.expected, self.found = expected, found


class InvalidTransitionError(ElasticlusterError):
    """A move that the transition table does not have: a bug in the caller."""

    def __init__(self, name: str, before: str, after: str) -> None:
        super().__init__(f"{name} cannot go from {before} to {after}")
        self.name, self.before, self.after = name, before, after


class StartError(ElasticlusterError):
    """Too few nodes came up; what this call launched was terminated."""

    def __init__(self, report: StartReport) -> None:
        super().__init__(str(report))
        self.report = report


class StartTimeoutError(StartError, TimeoutError):
    """The deadline passed with too few nodes alive."""


class StopTimeoutError(ElasticlusterError, TimeoutError):
    """The cloud has not confirmed the end of every instance; the record stays."""

    def __init__(self, name: str, remaining: tuple[str, ...]) -> None:
        listed = ", ".join(remaining) or "pending"
        super().__init__(
            f"cluster {name!r} still has instances {listed}; "
            "the record stays, call stop() again"
        )
        self.name, self.remaining = name, remaining


class PauseTimeoutError(ElasticlusterError, TimeoutError):
    """The cloud has not paused every instance yet; `pause()` goes on from there."""

    def __init__(self, name: str, remaining: tuple[str, ...]) -> None:
        listed = ", ".join(remaining)
        super().__init__(f"cluster {name!r}: not paused yet: {listed}; call it again")
        self.name, self.remaining = name, remaining


class SetupError(ElasticlusterError):
    """At least one host was not set up; alive nodes stay."""

    def __init__(self, report: SetupReport) -> None:
        super().__init__(str(report))
        self.report = report


class ImageBuildError(ElasticlusterError):
    """An image for nodes could not be made; the message ends with the last words."""


class RepositoryError(ElasticlusterError):
    """A stored record cannot be read or written as it is."""


class SshError(ElasticlusterError):
    """A node could not be reached over SSH."""


class UnreachableError(SshError, ConnectionError):
    """No SSH answer from the address (yet)."""


class AuthenticationError(SshError):
    """The node refuses our key for this login."""


class HostKeyError(SshError):
    """The node shows another host key than the expected one."""


class ProviderError(ElasticlusterError):
    """The cloud refused or broke; `retryable` says whether to ask again.

    `code` and `request_id` are the cloud's own, where it gave them.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message, self.code, self.request_id = message, code, request_id

    def __str__(self) -> str:
        facts = ", ".join(
            f"{label} {value}"
            for label, value in (("code", self.code), ("request", self.request_id))
            if value
        )
        return f"{self.message} ({facts})" if facts else self.message


class ThrottledError(ProviderError):
    """Too many requests; nothing was done."""

    retryable = True


class TransientError(ProviderError):
    """A fault on the cloud's side before anything was done."""

    retryable = True


class CapacityError(ProviderError):
    """The cloud has no room in this zone for this flavor."""

    def __init__(
        self,
        message: str,
        *,
        zone: str = "",
        flavor: str = "",
        code: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.zone, self.flavor = zone, flavor


class QuotaError(ProviderError):
    """The account's own limit is reached."""


class InvalidRequestError(ProviderError):
    """The cloud says that this request can never succeed as it is."""


class UnauthorizedError(ProviderError):
    """The credentials are wrong or do not allow this."""


class UnknownOutcomeError(ProviderError):
    """The request was sent (or the work begun), but its result is unknown."""

    def __init__(self, message: str = "the outcome is not known") -> None:
        super().__init__(message)
