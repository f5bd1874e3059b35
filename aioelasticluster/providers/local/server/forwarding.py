"""Connections that are forwarded out of an instance."""

from __future__ import annotations

import asyncio
from typing import cast

import asyncssh
from asyncssh.forward import SSHForwarder


class Forwarder(SSHForwarder):
    """One side of a forwarded connection; both close when both have ended.

    asyncssh leaves the channel open if the far side ends first, and OpenSSH's client
    waits for its close: `ssh -W`, which jump hosts are made of, would never end.
    """

    def eof_received(self) -> bool:
        more = super().eof_received()
        if not more:
            self.close()
        return more


async def forwarded(host: str, port: int) -> asyncssh.SSHTCPSession[bytes]:
    """Connect to where a client wants to be forwarded to."""
    loop = asyncio.get_running_loop()
    try:
        _, peer = await loop.create_connection(Forwarder, host or "127.0.0.1", port)
    except OSError as fault:
        reason = asyncssh.OPEN_CONNECT_FAILED
        raise asyncssh.ChannelOpenError(reason, str(fault)) from fault
    # A forwarder has a session's methods, but asyncssh does not derive it from one.
    return cast("asyncssh.SSHTCPSession[bytes]", Forwarder(peer))
