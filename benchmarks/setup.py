"""How long until N hosts are set up, beside a plain ansible-playbook on the same play.

    python benchmarks/setup.py --hosts 1,4,10,20
    python benchmarks/setup.py --image my-debian      # containers instead

The play has eleven tasks (facts, files, commands, checks) and needs no root. The hosts
are instances of `LocalCloudProvider`, real SSH servers on this machine, or containers
of an image: in both cases their processor is the one that Ansible runs on. A round trip
to them takes as long as to a cloud: all that SSH sends, by whichever client, goes
through `delayed.py`. `--latency 0` leaves that out.

The peer is `ansible-playbook` as it comes: five forks, a file to copy for each task,
its own persistent connections. It verifies the same host keys through the `ssh_config`
that this library writes, and nothing of its settings is touched.

All clients work on the same hosts, one after another, which are wiped in between. Every
measurement has an interpreter of its own; each figure is the median of some rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import TYPE_CHECKING, Any

from measuring import Meter, Row, fresh_key, machine, measured_apart
from reporting import save, show, table_of

from aioelasticluster import (
    AbstractCloudProvider,
    AnsibleSetupProvider,
    Cluster,
    ContainerCloudProvider,
    LocalCloudProvider,
    SqliteRepository,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RESULTS = Path(__file__).parent / "results" / "setup.json"

OURS, MITOGEN, PLAIN = "aioelasticluster", "with Mitogen", "ansible-playbook"

#: How long (seconds) one measurement may take.
PATIENCE = 900.0

#: How long (seconds) a round trip to a host takes.
LATENCY = 0.04

#: Where the play writes, below each host's home.
PLACE = "benchmark"

PLAY = """
- hosts: all
  vars:
    place: "{{ ansible_facts.env.HOME }}/benchmark"
  tasks:
    - name: Make a folder
      ansible.builtin.file: {path: "{{ place }}", state: directory, mode: "0755"}
    - name: Write a file
      ansible.builtin.copy:
        dest: "{{ place }}/name"
        content: "{{ inventory_hostname }}\\n"
        mode: "0644"
    - name: Write about all hosts
      ansible.builtin.copy:
        dest: "{{ place }}/hosts"
        content: "{{ ansible_play_hosts_all | join('\\n') }}\\n"
        mode: "0644"
    - name: Add a line
      ansible.builtin.lineinfile: {path: "{{ place }}/hosts", line: "# the end"}
    - name: Add some lines
      ansible.builtin.blockinfile:
        path: "{{ place }}/hosts"
        block: |
          # made by the benchmark
          # for {{ inventory_hostname }}
    - name: Change a line
      ansible.builtin.replace:
        path: "{{ place }}/hosts"
        regexp: the end
        replace: that is all
    - name: Ask for the kernel
      ansible.builtin.command: uname -r
      register: kernel
      changed_when: false
    - name: Count the lines
      ansible.builtin.shell: wc -l < {{ place }}/hosts
      register: lines
      changed_when: false
    - name: Look at the file
      ansible.builtin.stat: {path: "{{ place }}/hosts"}
      register: file
    - name: Be sure
      ansible.builtin.assert:
        that:
          - file.stat.exists
          - lines.stdout | int > ansible_play_hosts_all | length
          - kernel.stdout | length > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Where the hosts' record is, what they are and how many, and how far away."""

    folder: str
    image: str
    hosts: int
    latency: float

    def file(self, name: str) -> Path:
        return Path(self.folder, name)

    @property
    def proxy(self) -> str:
        """The command that leads to a host."""
        if not self.latency:
            return ""
        wire = [sys.executable, "-S", "-E", str(Path(__file__).with_name("delayed.py"))]
        return f"{shlex.join(wire)} %h %p {self.latency / 2}"

    def cloud(self) -> AbstractCloudProvider:
        if self.image:
            return ContainerCloudProvider(self.image)
        return LocalCloudProvider(self.file("cloud"))

    def repository(self) -> SqliteRepository:
        return SqliteRepository(self.file("clusters.sqlite"))

    def setup(self, *, mitogen: bool = False) -> AnsibleSetupProvider:
        return AnsibleSetupProvider(
            {"compute": []},
            playbook=self.file("play.yml"),
            become=False,
            mitogen=mitogen,
            work_dir=self.file("work"),
            cache_dir=self.file("cache"),
        )

    async def cluster(self, *, mitogen: bool = False) -> Cluster:
        """Return the cluster, with all that earlier runs did to its hosts undone."""
        cluster = await self.repository().get(
            "benchmark",
            cloud_provider=self.cloud(),
            setup_provider=self.setup(mitogen=mitogen),
        )
        await ran(cluster, f"rm -rf {PLACE} .ansible")
        return cluster


async def ran(cluster: Cluster, command: str) -> dict[str, str]:
    """Run a command on all hosts; return what each one says."""
    results = await cluster.run(command)
    assert all(result.ok for result in results.values()), results
    return {name: result.stdout.strip() for name, result in results.items()}


# One measurement, in a process of its own


def children_s() -> float:
    """Return the CPU seconds of all child processes that have ended."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def measure(client: str, job: Job) -> Row:
    """Set all hosts up, and see that they are."""
    cluster = await job.cluster(mitogen=client == MITOGEN)
    if client == PLAIN:
        command, environment = await plain_command(job, cluster)
    meter, before = Meter(), children_s()
    if client == PLAIN:
        plain(command, environment)
    else:
        report = await cluster.setup()
        assert report.ok
    row = {"seconds": meter.wall, "cpu_s": meter.cpu + children_s() - before}
    names = await ran(cluster, f"cat {PLACE}/name")
    assert names == {name: name for name in names}
    assert len(names) == job.hosts
    return row


async def plain_command(job: Job, cluster: Cluster) -> tuple[list[str], dict[str, str]]:
    """Return the peer's command and environment; nothing of ours is in it."""
    homes = await ran(cluster, "pwd")
    config, inventory = job.file("ssh_config"), job.file("inventory.json")
    config.write_text(cluster.ssh_config(job.file("known_hosts")))
    hosts = {
        # The logins of hosts on this machine are in no list of users.
        name: {"ansible_remote_tmp": f"{home}/.ansible/tmp"}
        for name, home in homes.items()
    }
    shared = {"ansible_ssh_common_args": f"-F {config}"}
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": shared}}))
    play = str(job.file("play.yml"))
    ansible = [sys.executable, "-m", "ansible", "playbook"]
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    environment = kept | {"HOME": tempfile.mkdtemp(dir=job.folder), "LC_ALL": "C.UTF-8"}
    return [*ansible, "--inventory", str(inventory), play], environment


def plain(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run the peer."""
    done = subprocess.run(
        command,
        check=False,
        env=environment,
        cwd=environment["HOME"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode:
        sys.exit(f"{PLAIN} has failed:\n{done.stdout}")


# All measurements


@asynccontextmanager
async def hosts(job: Job, key: Path) -> AsyncIterator[None]:
    """Have hosts for the block."""
    job.file("play.yml").write_text(PLAY)
    cluster = Cluster(
        "benchmark",
        job.cloud(),
        job.setup(),
        "benchmark",
        f"{key}.pub",
        str(key),
        repository=job.repository(),
        ssh_proxy=job.proxy,
    )
    cluster.add_nodes("compute", job.hosts, "any", "debian", "small", "default")
    await cluster.start(timeout=PATIENCE)
    try:
        yield
    finally:
        await (await job.cluster()).stop()


def clients() -> list[str]:
    """Return which clients there are."""
    found = importlib.util.find_spec("ansible_mitogen") is not None
    return [OURS, *([MITOGEN] if found else []), PLAIN]


async def measured(count: int, rounds: int, *, image: str, latency: float) -> list[Row]:
    """Measure all clients in turn on the same hosts."""
    figures: dict[str, list[Row]] = {client: [] for client in clients()}
    with fresh_key() as key:
        job = Job(folder=str(key.parent), image=image, hosts=count, latency=latency)
        told = json.dumps(asdict(job))
        async with hosts(job, key):
            for _ in range(rounds):
                for client, rows in figures.items():
                    rows.append(
                        await asyncio.to_thread(
                            measured_apart, __file__, client, told, patience=PATIENCE
                        )
                    )
    plain_s = median(row["seconds"] for row in figures[PLAIN])
    return [
        {
            "client": client,
            "hosts": count,
            "rounds": rounds,
            **{name: median(row[name] for row in rows) for name in rows[0]},
            "plain_over": plain_s / median(row["seconds"] for row in rows),
        }
        for client, rows in figures.items()
    ]


def report(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    columns = {
        "client": "client",
        "hosts": "hosts",
        "seconds": "set up",
        "cpu_s": "CPU here",
        "plain_over": "plain ÷ this",
    }
    kind = f"containers of {result['image']}" if result["image"] else "local hosts"
    distance = f"{1000 * result['latency_s']:.0f} ms away"
    title = f"Eleven tasks on {kind}, {distance} (seconds)"
    show(table_of(result["rows"], columns, title))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", default="1,4,10,20", help="sizes")
    parser.add_argument("--rounds", type=int, default=1, help="default: 1")
    parser.add_argument("--image", default="", help="of containers to be the hosts")
    parser.add_argument(
        "--latency", type=float, default=LATENCY, help="seconds, of a round trip"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write what was found."""
    given = arguments()
    if given.one:
        client, told = given.one
        print(json.dumps(asyncio.run(measure(client, Job(**json.loads(told))))))
        return
    about = machine()
    rows = [
        row
        for count in given.hosts.split(",")
        for row in asyncio.run(
            measured(int(count), given.rounds, image=given.image, latency=given.latency)
        )
    ]
    result = {
        "benchmark": "setup",
        "machine": about,
        "image": given.image,
        "latency_s": given.latency,
        "rows": rows,
    }
    save(given.json, result)
    report(result)


if __name__ == "__main__":
    main()
