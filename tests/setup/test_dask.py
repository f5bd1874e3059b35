"""The dask role on real hosts: real wheels, a real scheduler, real workers."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import anyio
import pytest

from aioelasticluster.setup.ansible import AnsibleSetupProvider
from tests.setup.conftest import Rig

pytestmark = [
    pytest.mark.ansible,
    pytest.mark.usefixtures("unblocked"),
    pytest.mark.timeout(240),  # half a minute each, unless the machine is busy
]

DASK = {"frontend": "dask_scheduler", "compute": "dask_worker"}
FOLDER = ".local/share/aioelasticluster/dask"

SQUARES = """
from distributed import Client, get_worker
client = Client()
def square(n):
    return n * n, get_worker().name
results = client.gather(client.map(square, range(60)))
print(sum(n for n, _ in results), *sorted({name for _, name in results}))
"""
KEEP_A_RESULT = """
from distributed import Client
client = Client()
client.publish_dataset(kept=client.scatter(42, workers=["compute002"]))
"""
LOOK_FOR_IT = """
from distributed import Client
client = Client()
names = [worker["name"] for worker in client.scheduler_info()["workers"].values()]
print(client.get_dataset("kept").result(), *sorted(names))
"""


class DaskRig:
    """Hosts with Dask, and what can be asked of them."""

    def __init__(self, rig: Rig, cache: Path) -> None:
        self.rig, self.cache = rig, cache

    def provider(self, **settings: Any) -> AnsibleSetupProvider:
        return self.rig.provider(groups=DASK, cache_dir=self.cache, **settings)

    async def python(self, host: str, code: str) -> str:
        """Run code with the host's launcher, as a user would over SSH."""
        launcher = self.rig.home(host) / "bin" / "dask-python"
        done = await anyio.run_process([str(launcher), "-"], input=code.encode())
        return done.stdout.decode().strip()

    async def state(self, host: str, name: str = "worker") -> dict[str, Any]:
        """Return what is recorded of a process of the role."""
        path = anyio.Path(self.rig.home(host) / FOLDER / f"{name}.json")
        facts: dict[str, Any] = json.loads(await path.read_text())
        return facts


@pytest.fixture
def home_untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test if Ansible makes its folder in the home of who runs it."""
    name = f".aioec-test-{token_hex(4)}"
    monkeypatch.setenv("ANSIBLE_REMOTE_TEMP", f"~/{name}")
    yield
    folder = Path(pwd.getpwuid(os.getuid()).pw_dir, name)
    made = folder.exists()
    shutil.rmtree(folder, ignore_errors=True)
    assert not made


@pytest.mark.usefixtures("home_untouched")
async def test_dask_works_grows_offline_and_shrinks_without_losing_results(
    make_rig: Callable[..., Rig], wheels: Path
) -> None:
    rig = make_rig(["frontend001", "compute001", "compute002"])
    dask, everyone = DaskRig(rig, wheels), rig.cluster
    first = replace(everyone, hosts=everyone.hosts[:2])

    report = await dask.provider().setup(first)
    assert report.ok, report
    assert await dask.python("frontend001", SQUARES) == "70210 compute001"
    before = await dask.state("compute001")

    # Another host, no package index: the wheels come from the first run.
    offline = dask.provider(variables={"dask_pip_arguments": ["--no-index"]})
    report = await offline.setup(everyone, only=["compute002"])
    assert report.ok, report
    assert [*report.hosts] == ["compute002"]
    assert before == await dask.state("compute001")

    # Its results survive it, and what runs elsewhere is not touched.
    await dask.python("compute002", KEEP_A_RESULT)
    await offline.before_removal(everyone, ["compute002"])
    assert await dask.python("frontend001", LOOK_FOR_IT) == "42 compute001"
    report = await offline.setup(first)
    assert report.ok, report
    assert report.changed == 0
    assert before == await dask.state("compute001")
    assert await rig.left_behind() == []


async def test_a_worker_that_does_not_come_up_is_blamed_at_once_with_its_log(
    make_rig: Callable[..., Rig], wheels: Path
) -> None:
    rig = make_rig(["frontend001", "compute001"])
    dask = DaskRig(rig, wheels)
    wrong = dask.provider(kind_variables={"compute": {"dask_worker_nthreads": "many"}})
    report = await wrong.setup(rig.cluster)
    assert report.failed == ("compute001",)
    failed = report.hosts["compute001"]
    assert failed.failed_task == "dask : See that the scheduler knows the worker"
    assert "'many' is not a valid int" in failed.message

    scheduler = await dask.state("frontend001", "scheduler")
    right = dask.provider()
    assert (await right.setup(rig.cluster)).ok
    assert await dask.python("frontend001", SQUARES) == "70210 compute001"
    assert scheduler == await dask.state("frontend001", "scheduler")


async def test_workers_say_that_it_is_the_scheduler_that_does_not_come_up(
    make_rig: Callable[..., Rig], wheels: Path
) -> None:
    rig = make_rig(["frontend001", "compute001", "compute002"])
    broken = {"dask_environment": {"PYTHONHOME": "/nowhere"}}
    provider = DaskRig(rig, wheels).provider(kind_variables={"frontend": broken})
    report = await provider.setup(rig.cluster)
    assert report.failed == ("frontend001", "compute001", "compute002")
    assert report.hosts["frontend001"].failed_task == "dask : Run the scheduler"
    for name in ("compute001", "compute002"):
        host = report.hosts[name]
        assert host.failed_task == "dask : See that the scheduler's host has not failed"
        assert "frontend001 was not set up" in host.message


async def test_without_wheels_and_without_an_index_it_says_who_could_not_fetch_them(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = make_rig(["frontend001", "compute001"])
    provider = rig.provider(
        groups=DASK,
        variables={"dask_pip_arguments": ["--no-index"], "dask_version": "0.0.1"},
    )
    report = await provider.setup(rig.cluster)
    first, second = report.hosts["frontend001"], report.hosts["compute001"]
    assert first.failed_task == "python_service : Fetch the wheels"
    assert "No matching distribution" in first.message
    assert second.message == (
        "there are no wheels, for frontend001 could not fetch them"
    )
    assert not (tmp_path / "cache" / "wheels").exists()
