"""A first cluster: a frontend and three compute nodes on this machine, with Dask.

    pip install 'aioelasticluster[cli]'
    python examples/01_first_cluster.py

Every node is a real SSH server, a process of yours with a home of its own. If this
program is killed half way, run it again: it takes over what it finds, and stops it.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  said before the imports below fail
    sys.exit("this needs Python 3.11 or newer")

import asyncio
import json
import shutil
from contextlib import nullcontext
from importlib.util import find_spec
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
from aioelasticluster.model.events import NodeMoved, OperationEnded, SetupTaskStarted

STATE = user_state_path("aioelasticluster")
GROUPS = {"frontend": ["dask_scheduler"], "compute": ["dask_worker"]}

#: Runs on the frontend, with the cluster's own Dask.
COMPUTATION = """
import json
from distributed import Client, get_worker

def share(start):
    return get_worker().name, sum(n * n for n in range(start, 1_000_000, 30))

with Client() as client:
    names, sums = zip(*client.gather(client.map(share, range(30))))
print(json.dumps([sum(sums), sorted(set(names))]))
"""


async def main(key: Path, public: Path) -> None:
    """Start, set up, compute, stop."""
    cluster = Cluster(
        "first",
        LocalCloudProvider(),
        AnsibleSetupProvider(GROUPS),
        "first-cluster",
        str(public),
        str(key),
        repository=SqliteRepository(STATE / "clusters.sqlite"),
        stop_on_exit=True,  # also what an earlier run of this program has launched
    )
    cluster.add_node("frontend", "any", "debian", "small", "default")
    cluster.add_nodes("compute", 3, "any", "debian", "small", "default")
    showing = asyncio.create_task(show(cluster))
    async with cluster:
        await cluster.start(timeout=60)
        await cluster.setup()
        result = await cluster.frontend.run("bin/dask-python -", stdin=COMPUTATION)
    await showing
    if not result.ok:
        sys.exit(f"the computation failed: {result.error or result.stderr}")
    total, names = json.loads(result.stdout)
    print(f"sum of squares below 1,000,000 = {total:,}, computed by {', '.join(names)}")
    assert names == [node.name for node in cluster.nodes["compute"]]


async def show(cluster: Cluster) -> None:
    """Keep a table of the nodes up to date; without a terminal, print lines."""
    terminal = sys.stdout.isatty()
    with Live(auto_refresh=False) if terminal else nullcontext() as live:
        async for event in cluster.events(since=0, follow=True):
            match event:
                case NodeMoved():
                    news = f"{event.node} is {event.after}"
                case SetupTaskStarted():
                    news = f"set-up: {event.task}"
                case OperationEnded(operation="stop"):
                    return
                case _:
                    continue
            if live:
                live.update(table(cluster, news), refresh=True)
            else:
                print(news, flush=True)


def table(cluster: Cluster, news: str) -> Table:
    """Return the nodes and their states, with the latest news below."""
    rows = Table("node", "state", "address", title=cluster.name, caption=news)
    for node in cluster.get_all_nodes():
        rows.add_row(node.name, node.state, " ".join(node.addresses))
    return rows


def check_this_machine() -> None:
    """Say what is missing before anything is launched."""
    if missing := [name for name in ("venv", "ensurepip") if not find_spec(name)]:
        sys.exit(f"Python lacks {' and '.join(missing)}: install python3-venv")
    if not shutil.which("ssh"):
        sys.exit("the command ssh is not found: install OpenSSH's client")


def make_key_pair(key: Path, public: Path) -> None:
    """Make a key pair for this program alone, unless a killed run has left one."""
    if not public.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        key.touch(mode=0o600)
        made = asyncssh.generate_private_key("ssh-ed25519")
        made.write_private_key(key)
        made.write_public_key(public)


if __name__ == "__main__":
    check_this_machine()
    pair = STATE / "first-cluster", STATE / "first-cluster.pub"
    make_key_pair(*pair)
    try:
        asyncio.run(main(*pair))
    except ElasticlusterError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    for half in pair:
        half.unlink()
