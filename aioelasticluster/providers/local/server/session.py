"""One SSH session: a shell, a command (with or without a terminal), or SFTP.

It behaves as OpenSSH's does: a session ends when its process has ended and its
output is closed; a process outlives a connection that breaks.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping
from typing import Any

import asyncssh
from asyncssh.stream import SSHServerStreamSession

from aioelasticluster.providers.local.server.children import Children
from aioelasticluster.providers.local.server.streams import Inflow, Outflow

#: Exit status for a command that could not be started at all.
_CANNOT_START = 127

#: What OpenSSH's client speaks, and nothing newer.
_SFTP_VERSION = 3

TerminalSize = tuple[int, int, int, int]


class Session(SSHServerStreamSession[bytes]):
    """Runs what the client asks for; SFTP is served by the base class."""

    def __init__(self, shell: str, children: Children) -> None:
        super().__init__(None, sftp_factory=_sftp_server, sftp_version=_SFTP_VERSION)
        self._shell, self._children = shell, children
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._arguments: list[str] = []
        self._terminal: tuple[str, TerminalSize] | None = None
        self._pid = 0
        self._master = -1
        self._code: int | None = None
        self._stdin: Inflow | None = None
        self._outputs: list[Outflow] = []

    # -- what the client asks for

    def connection_made(self, chan: Any) -> None:
        super().connection_made(chan)
        self._channel = chan

    def pty_requested(
        self, term_type: str, term_size: TerminalSize, term_modes: Mapping[int, int]
    ) -> bool:
        self._terminal = (term_type, term_size)
        return True

    def shell_requested(self) -> bool:
        interactive = ["-i"] if self._terminal else []
        self._arguments = [self._shell, *interactive]
        return True

    def exec_requested(self, command: str) -> bool:
        login = str(self._open_channel().get_extra_info("username"))
        self._arguments = [self._shell, "-c", at_home(command, login)]
        return True

    def session_started(self) -> None:
        if not self._arguments:
            super().session_started()
            return
        try:
            self._start_on_terminal() if self._terminal else self._start_on_pipes()
        except OSError as fault:
            channel = self._open_channel()
            channel.write_stderr(f"{self._arguments[0]}: {fault}\n".encode())
            channel.exit(_CANNOT_START)

    def _start_on_pipes(self) -> None:
        channel = self._open_channel()
        process = self._children.start(
            self._arguments,
            self._ended,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            extra=self._asked_for(),
        )
        self._pid = process.pid
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._stdin = self._inflow(_detached(process.stdin))
        self._outputs = [
            Outflow(_detached(process.stdout), channel.write, self._maybe_finish),
            Outflow(
                _detached(process.stderr), channel.write_stderr, self._maybe_finish
            ),
        ]

    def _start_on_terminal(self) -> None:
        assert self._terminal is not None
        kind, size = self._terminal
        self._master, slave = pty.openpty()
        try:
            _resize(self._master, size)
            process = self._children.start(
                self._arguments,
                self._ended,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                extra={**self._asked_for(), "TERM": kind, "SSH_TTY": os.ttyname(slave)},
                terminal=True,
            )
        except OSError:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        self._pid = process.pid
        self._stdin = self._inflow(os.dup(self._master))
        self._outputs = [
            Outflow(self._master, self._open_channel().write, self._maybe_finish)
        ]

    def _inflow(self, descriptor: int) -> Inflow:
        channel = self._open_channel()
        return Inflow(descriptor, channel.pause_reading, channel.resume_reading)

    def _asked_for(self) -> dict[str, str]:
        """Return the variables of this session: who called, and its language."""
        channel = self._open_channel()
        caller = channel.get_extra_info("peername") or ("", 0)
        own = channel.get_extra_info("sockname") or ("", 0)
        extra = {
            name: value
            for name, value in channel.get_environment().items()
            if name == "LANG" or name.startswith("LC_")
        }
        extra["SSH_CLIENT"] = f"{caller[0]} {caller[1]} {own[1]}"
        extra["SSH_CONNECTION"] = f"{caller[0]} {caller[1]} {own[0]} {own[1]}"
        return extra

    # -- what goes to and fro

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._stdin is None:
            super().data_received(data, datatype)
        else:
            self._stdin.feed(data)

    def eof_received(self) -> bool:
        if self._stdin is None:
            return super().eof_received()
        # Closing one side of a terminal would hang it up: it has an end-of-file key.
        self._stdin.feed(b"\x04") if self._terminal else self._stdin.end()
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        for output in self._outputs:
            output.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        for output in self._outputs:
            output.resume()

    def signal_received(self, signal: str) -> None:
        self._kill(f"SIG{signal}")

    def break_received(self, msec: int) -> bool:
        self._kill("SIGINT")
        return True

    def terminal_size_changed(
        self, width: int, height: int, pixwidth: int, pixheight: int
    ) -> None:
        if self._outputs and self._terminal and self._outputs[0].open:
            _resize(self._master, (width, height, pixwidth, pixheight))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._channel = None
        self._close_streams()

    # -- how it ends

    def _ended(self, code: int) -> None:
        self._code = code
        if self._terminal:  # others may hold the terminal; the session is over
            for output in self._outputs:
                output.drain()
                output.close()
        self._maybe_finish()

    def _maybe_finish(self) -> None:
        if self._code is None or any(output.open for output in self._outputs):
            return
        self._close_streams()
        if self._channel is None:
            return
        if self._code >= 0:
            self._channel.exit(self._code)
        else:
            self._channel.exit_with_signal(signal.Signals(-self._code).name[3:])

    def _close_streams(self) -> None:
        if self._stdin is not None:
            self._stdin.close()
        for output in self._outputs:
            output.close()

    def _kill(self, name: str) -> None:
        what = getattr(signal, name, None)
        if self._pid and self._code is None and isinstance(what, signal.Signals):
            try:
                os.killpg(self._pid, what)
            except (ProcessLookupError, PermissionError):
                pass

    def _open_channel(self) -> asyncssh.SSHServerChannel[bytes]:
        assert self._channel is not None
        return self._channel


def at_home(command: str, login: str) -> str:
    """Write `~` for `~login` in a command.

    The login need not be a user of this machine, and if it is, that user's home is
    not the instance's. Ansible asks every host for its `~login`.
    """
    name = re.escape(login)
    return re.sub(rf"(?<![^\s'\"=:(])~{name}(?![^\s'\"/:;&|)])", "~", command)


class SftpServer(asyncssh.SFTPServer):
    """The files of this user; it ends with a status, which scp insists on."""

    def exit(self) -> None:
        self.channel.exit(0)


def _sftp_server(channel: Any) -> SftpServer:
    return SftpServer(channel)


def _detached(file: Any) -> int:
    """Return a descriptor that its file object will not close."""
    descriptor = os.dup(file.fileno())
    file.close()
    return descriptor


def _resize(master: int, size: TerminalSize) -> None:
    columns, rows, width, height = size
    packed = struct.pack("HHHH", rows, columns, width, height)
    fcntl.ioctl(master, termios.TIOCSWINSZ, packed)
