"""A first cluster: a frontend and three compute nodes on this machine, with Dask.

    pip install 'aioelasticluster[cli]'
    python examples/01_first_cluster.py

Each node is a real SSH server, a process of yours with a home of its own. Killed half
way, even by `kill -9`? Run it again: it takes over what is there, and stops it.
"""

import asyncio
import importlib.util
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
from platformdirs import user_state_path
from rich.live import Live
from rich.table import Table

from aioelasticluster import (
    AnsibleSetupProvider,
    Cluster,
    ElasticlusterError,
    LocalCloudProvider,
    SqliteRepository,
)
from aioelasticluster.model.events import (
    Event,
    NodeMoved,
    OperationEnded,
    SetupTaskStarted,
)

STATE = user_state_path("aioelasticluster")
KEY = STATE / "first-cluster"  # a key pair for this demonstration only

#: Runs on the frontend, with the cluster's own Dask.
COMPUTATION = """
import json
from distributed import Client, get_worker

def share(start):
    squares = sum(n * n for n in range(start, 1_000_000, 30))
    return get_worker().name, squares

with Client() as client:
    names, squares = zip(*client.gather(client.map(share, range(30))))
print(json.dumps([sum(squares), sorted(set(names))]))
"""


async def main() -> None:
    """Start, set up, compute, stop."""
    check_this_machine()
    cluster = Cluster(
        "first",
        LocalCloudProvider(),
        AnsibleSetupProvider(
            {"frontend": ["dask_scheduler"], "compute": ["dask_worker"]}
        ),
        "first-cluster",
        f"{KEY}.pub",
        str(KEY),
        repository=SqliteRepository(STATE / "clusters.sqlite"),
        stop_on_exit=True,  # also if an earlier run has launched it
    )
    cluster.add_node("frontend", "any", "debian", "small", "default")
    cluster.add_nodes("compute", 3, "any", "debian", "small", "default")
    await asyncio.to_thread(make_key_pair, KEY)
    async with watched(cluster), cluster:
        await cluster.start(timeout=60)
        await cluster.setup()
        results = await cluster.run(
            "~/bin/dask-python -", nodes=[cluster.frontend], stdin=COMPUTATION
        )
    (result,) = results.values()
    if not result.ok:
        sys.exit(f"the computation failed: {result.error or result.stderr}")
    total, workers = json.loads(result.stdout)
    print(f"sum of squares below 1,000,000 = {total:,}, computed by {', '.join(workers)}")
    assert workers == [node.name for node in cluster.nodes["compute"]]
    for path in (KEY, Path(f"{KEY}.pub")):
        path.unlink()


def check_this_machine() -> None:
    """Say what is missing before anything is launched."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            sys.exit(f"Python's module {module} is missing: install python3-venv")
    if shutil.which("ssh") is None:
        sys.exit("the command `ssh` is missing: install OpenSSH's client")


def make_key_pair(path: Path) -> None:
    """Make a key pair, unless a killed run has left one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_public_key(f"{path}.pub")
        path.touch(mode=0o600)
        key.write_private_key(path)


@asynccontextmanager
async def watched(cluster: Cluster) -> AsyncIterator[None]:
    """Show what happens to a cluster for as long as the block lasts."""
    show = show_table if sys.stdout.isatty() else print_lines
    showing = asyncio.create_task(show(cluster))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait([showing])


async def print_lines(cluster: Cluster) -> None:
    """Tell what happens, line by line."""
    async for event in cluster.events(since=0, follow=True):
        if line := told(event):
            print(line, flush=True)


async def show_table(cluster: Cluster) -> None:
    """Keep a table of the nodes up to date, with the latest news below."""
    with Live(auto_refresh=False) as live:
        async for event in cluster.events(since=0, follow=True):
            if line := told(event):
                live.update(table(cluster, line), refresh=True)


def table(cluster: Cluster, caption: str) -> Table:
    """Return the nodes and their states."""
    shown = Table("node", "state", "address", title=cluster.name, caption=caption)
    for node in cluster.get_all_nodes():
        shown.add_row(node.name, node.state, " ".join(node.addresses))
    return shown


def told(event: Event) -> str:
    """Return an event as a line; most are not worth one."""
    match event:
        case NodeMoved():
            return f"{event.node} is {event.after}"
        case SetupTaskStarted():
            return f"set-up: {event.task}"
        case OperationEnded(error=""):
            return f"{event.operation} took {event.seconds:.1f} s"
    return ""


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except ElasticlusterError as error:
        sys.exit(str(error))
