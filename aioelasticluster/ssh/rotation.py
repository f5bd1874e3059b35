"""A host key of the node's own in place of the one that its user-data gave away.

The node makes the key; the private half never leaves it. Whoever is cut off where
ever, the key that the node shows is among those that are on disk by then.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aioelasticluster.ssh.base import Accept, Reached

if TYPE_CHECKING:
    import asyncssh

#: How long (seconds) the node may take to make a key, and again to install it.
STEP_PATIENCE = 15.0

_WORDS = ("key ", "unchanged ", "kept ", "done")
_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]+={0,2}")

#: Speaks in lines: `key TYPE BASE64`, then reads `install`, then `done`. Or it
#: says `unchanged REASON`, or `kept REASON`: the new key is in place, but not shown.
#: `$1` is the script itself, to start it again as root; what sudo would drop from the
#: environment comes after it.
SCRIPT = r"""
umask 077
no() { printf 'unchanged %s\n' "$*"; exit 0; }
kept() { printf 'kept %s\n' "$*"; exit 0; }
key=${2:-${AIOEC_HOST_KEY_FILE:-/etc/ssh/ssh_host_ed25519_key}}
server=${3:-$AIOEC_SSHD_PID}
connection=${4:-$SSH_CONNECTION}
folder=${key%/*}
if [ ! -w "$folder" ]; then
    [ -z "$2" ] && [ "$(id -u)" != 0 ] || no "$folder is not writable"
    refusal=$(sudo -n true 2>&1) || no "no sudo without a password: $refusal"
    exec sudo -n sh -c 'eval "$1"' sh "$1" "$key" "$server" "$connection"
fi
[ -f "$key" ] || no "$key is not there"
command -v ssh-keygen >/dev/null || no "ssh-keygen is not installed"

# In the same folder, so that moving the key is one step of the file system.
fresh=$(mktemp -d "$folder/.aioec.XXXXXX") || no "cannot write to $folder"
trap 'rm -rf "$fresh"' EXIT
trap 'exit 1' HUP INT TERM PIPE
umask 022 # the public half is for all; ssh-keygen sees to the private one
fault=$(ssh-keygen -q -t ed25519 -N '' -C '' -f "$fresh/key" 2>&1) || no "$fault"
read -r type text rest <"$fresh/key.pub"
echo "key $type $text"

# End of file means that nobody has recorded the key: it must never be shown.
read -r answer && [ "$answer" = install ] || exit 0
trap '' HUP INT TERM PIPE
mv -f "$fresh/key" "$key" && mv -f "$fresh/key.pub" "$key.pub" ||
    kept "cannot replace $key"
command -v restorecon >/dev/null && restorecon "$key" "$key.pub" 2>/dev/null

reload() {
    if [ -n "$server" ]; then
        kill -HUP "$server" 2>/dev/null
        return
    fi
    systemctl reload ssh 2>/dev/null && return
    systemctl reload sshd 2>/dev/null && return
    kill -HUP "$(cat /run/sshd.pid)" 2>/dev/null
}
reload
failed=$?

# A reloading sshd refuses connections for a moment, and one that is started for each
# connection needs no reload: what counts is what is seen from outside, where there is
# a tool to look with.
set -- $connection
seen() {
    if [ -f "$key.shown" ]; then
        # A server that says itself what it shows.
        IFS= read -r shown <"$key.shown" && [ "${shown#*"$text"}" != "$shown" ]
    else
        ssh-keyscan -T 2 -t ed25519 -p "$port" "$address" 2>/dev/null |
            grep -qF "$text"
    fi
}
address=$3 port=$4
if [ -f "$key.shown" ] || { [ -n "$port" ] && command -v ssh-keyscan >/dev/null; }; then
    tries=0
    until seen; do
        [ "$failed" = 0 ] || kept "the SSH server does not reload"
        tries=$((tries + 1))
        [ "$tries" -lt 40 ] || kept "the SSH server shows its old key"
        if [ "$tries" -lt 5 ]; then sleep 0.02; else sleep 0.1; fi
    done
elif [ "$failed" != 0 ]; then
    kept "the SSH server does not reload"
fi
echo done
"""


async def rotate(
    connection: asyncssh.SSHClientConnection, accepted: Sequence[str], accept: Accept
) -> Reached:
    """Have the node make and show a key of its own, instead of an injected one.

    `accept` is awaited with all keys that the node may show from now on before the
    new one is installed. What does not work out is a value: the reason why the
    injected key stays accepted. Raises `ConnectionError` if the connection broke
    before anything was changed.
    """
    command = " ".join(map(shlex.quote, ["sh", "-c", 'eval "$1"', "sh", SCRIPT]))
    process, answer = await _started(connection, command)
    new = answer.removeprefix("key ")
    if process is None or not _KEY.fullmatch(new):
        return Reached(host_keys=tuple(accepted), unrotated=_reason(answer))
    both = (*accepted, new)
    await accept(both)
    answer = await _installed(process)
    if answer == "done":
        return Reached(host_keys=(new,))
    # Perhaps it is installed, perhaps not: both stay accepted until it is seen.
    return Reached(host_keys=both, unrotated=_reason(answer))


async def _started(
    connection: asyncssh.SSHClientConnection, command: str
) -> tuple[asyncssh.SSHClientProcess[str] | None, str]:
    """Start the script and return its first line."""
    import asyncssh

    try:
        async with asyncio.timeout(STEP_PATIENCE):
            process = await connection.create_process(
                command, encoding="utf-8", errors="replace"
            )
            return process, await _line(process)
    except TimeoutError:
        return None, f"no answer from the node within {STEP_PATIENCE:g} s"
    except asyncssh.ChannelOpenError as fault:
        return None, f"the node runs no commands: {fault.reason}"
    except (asyncssh.Error, OSError) as fault:
        raise ConnectionError(f"the connection broke: {fault}") from fault


async def _installed(process: asyncssh.SSHClientProcess[str]) -> str:
    """Have the recorded key installed and return what the node says to it."""
    import asyncssh

    try:
        async with asyncio.timeout(STEP_PATIENCE):
            process.stdin.write("install\n")
            return await _line(process)
    except TimeoutError:
        return f"the node has not confirmed its new key within {STEP_PATIENCE:g} s"
    except (asyncssh.Error, OSError) as fault:
        return f"the connection broke before the node confirmed its new key: {fault}"


async def _line(process: asyncssh.SSHClientProcess[str]) -> str:
    """Return the script's next line, or if it ended, what it complained about.

    Other lines are those of a chatty login shell.
    """
    while line := await process.stdout.readline():
        if line.startswith(_WORDS):
            return line.strip()
    complaint = (await process.stderr.read()).strip().splitlines()
    return f"the script ended early: {complaint[-1] if complaint else 'no message'}"


def _reason(answer: str) -> str:
    return answer.removeprefix("unchanged ").removeprefix("kept ")
