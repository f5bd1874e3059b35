"""The ray role on real hosts: a real head, real nodes, a computation on all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelasticluster.setup.ansible import AnsibleSetupProvider
from tests.setup.conftest import Rig

pytestmark = [
    pytest.mark.ansible,
    pytest.mark.usefixtures("unblocked"),
    pytest.mark.timeout(300),  # less than a minute, unless the machine is busy
]

RAY = {"frontend": "ray_head", "compute": "ray_worker"}
FOLDER = ".local/share/aioelasticluster/ray"
#: The nodes share this machine's memory.
SMALL = {"ray_num_cpus": 1, "ray_object_store_memory_mb": 80}

#: Tasks that wait for one another, so that one node cannot have them all.
WHO_COMPUTES = """
import ray, time
ray.init(logging_level="error", log_to_driver=False)
names = {node["NodeID"]: node["NodeName"] for node in ray.nodes() if node["Alive"]}

@ray.remote(num_cpus=1)
def square(n):
    time.sleep(0.3)
    return n * n, ray.get_runtime_context().get_node_id()

while True:
    results = ray.get([square.remote(n) for n in range(len(names))])
    used = {names[node] for _, node in results}
    if len(used) == len(names):
        break
print(sum(n for n, _ in results), *sorted(used))
"""


class RayRig:
    """Hosts with Ray, and what can be asked of them."""

    def __init__(self, rig: Rig, cache: Path) -> None:
        self.rig, self.cache = rig, cache

    def provider(self, **settings: Any) -> AnsibleSetupProvider:
        return self.rig.provider(
            groups=RAY, cache_dir=self.cache, variables=SMALL, **settings
        )

    def launcher(self, host: str) -> Path:
        return self.rig.home(host) / "bin" / "ray-python"

    async def python(self, host: str, code: str) -> str:
        """Run code with the host's launcher, as a user would over SSH."""
        done = await anyio.run_process(
            [str(self.launcher(host)), "-"], input=code.encode()
        )
        return done.stdout.decode().strip()

    async def address(self, host: str) -> str:
        """Return where the head is, as the host's launcher has it."""
        text = await anyio.Path(self.launcher(host)).read_text()
        (line,) = (line for line in text.splitlines() if "RAY_ADDRESS" in line)
        return line.partition("=")[2]

    async def refusal(self, host: str, code: str) -> str:
        """Run code with the host's Ray as somebody who has no token."""
        python = self.rig.home(host) / FOLDER / "env" / "bin" / "python"
        done = await anyio.run_process(
            [str(python), "-c", code],
            check=False,
            env={"RAY_ADDRESS": await self.address(host), "RAY_AUTH_MODE": "disabled"},
        )
        assert done.returncode
        return done.stderr.decode()


async def test_ray_computes_on_all_hosts_wants_its_token_and_drains_who_leaves(
    make_rig: Callable[..., Rig], wheels: Path
) -> None:
    rig = make_rig(["frontend001", "compute001"])
    ray, everyone = RayRig(rig, wheels), rig.cluster

    report = await ray.provider().setup(everyone)
    assert report.ok, report
    assert await ray.python("frontend001", WHO_COMPUTES) == "1 compute001 frontend001"
    refusal = await ray.refusal("compute001", "import ray; ray.init()")
    assert "InvalidAuthToken" in refusal or "Unauthenticated" in refusal, refusal

    report = await ray.provider().setup(everyone)
    assert report.ok, report
    assert report.changed == 0

    await ray.provider().before_removal(everyone, ["compute001"])
    assert await ray.python("frontend001", WHO_COMPUTES) == "0 frontend001"
    assert await rig.left_behind() == []
