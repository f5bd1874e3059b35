"""Who may write: the decisions on leases that all repositories share.

Plain functions on values. A repository reads and writes its store around them, in
one transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

from aioelasticluster._aio.finish import finish
from aioelasticluster._process import ProcessIdentity
from aioelasticluster.errors import ClusterBusyError, LeaseLostError, RepositoryError
from aioelasticluster.repositories.base import Lease


def granted(
    name: str, held: Lease | None, fence: int, *, now: float, ttl: float
) -> Lease:
    """Return this process's lease for ttl seconds from now.

    Raises `ClusterBusyError` while the lease of a live holder has not expired. Looks
    into the process table where another process holds it: not for the event loop.
    """
    ours = ProcessIdentity.current()
    if held is not None and held.expires > now:
        mine = held.holder == ours
        if mine or not held.holder.dead:
            holder = "another operation of this process" if mine else str(held.holder)
            rest = f"for {held.expires - now:.0f} s, or longer if it renews its lease"
            raise ClusterBusyError(name, f"{holder} ({rest})")

    return Lease(name=name, fence=fence, holder=ours, expires=now + ttl)


def check_held(lease: Lease, held: Lease | None) -> None:
    """Raise `LeaseLostError` unless the lease is the one that the store knows."""
    if held is None:
        raise LeaseLostError(f"the lease of cluster {lease.name!r} was given back")

    if held.fence != lease.fence:
        raise LeaseLostError(
            f"cluster {lease.name!r} was taken over by {held.holder} "
            f"(fence {held.fence}, ours is {lease.fence})"
        )


def renewed(lease: Lease, held: Lease | None, *, now: float, ttl: float) -> Lease:
    """Return the lease with its expiry at least ttl from now, never an earlier one."""
    check_held(lease, held)
    known = lease if held is None else held
    return replace(lease, expires=max(known.expires, now + ttl))


def lease_to_plain(lease: Lease) -> dict[str, Any]:
    """Return a lease as data that JSON can hold."""
    return {
        "name": lease.name,
        "fence": lease.fence,
        "holder": lease.holder.encoded(),
        "expires": lease.expires,
    }


def lease_from_plain(plain: Any) -> Lease:
    """Read a lease; raise `RepositoryError` for what is not one."""
    try:
        holder = ProcessIdentity.decoded(plain["holder"])
        name, fence = str(plain["name"]), int(plain["fence"])
        expires = float(plain["expires"])
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise RepositoryError(f"this is not a lease: {plain!r}") from fault

    if holder is None:
        raise RepositoryError(f"this is not a lease's holder: {plain['holder']!r}")

    return Lease(name=name, fence=fence, holder=holder, expires=expires)


async def taken_or_given_back(
    take: Coroutine[Any, Any, Lease],
    give_back: Callable[[Lease], Awaitable[None]],
    *,
    patience: float,
) -> Lease:
    """Take a lease; if the caller was cancelled meanwhile, give it back again.

    Else the caller's next attempt would find the cluster busy with nobody.
    """
    taken: list[Lease] = []

    async def remember() -> None:
        taken.append(await take)

    try:
        await finish(remember(), patience=patience)
    except BaseException:
        if taken:
            await give_back(taken[0])
        raise

    return taken[0]
