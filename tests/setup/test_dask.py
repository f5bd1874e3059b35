from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.setup.conftest import Rig

pytestmark = pytest.mark.ansible


async def test_dask(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(["frontend001", "compute001", "compute002", "compute003"])
    cache = Path(os.environ.get("TCACHE", rig.folder / "cache"))
    p = rig.provider(
        groups={"frontend": "dask_scheduler", "compute": "dask_worker"}, cache_dir=cache
    )
    for i in range(2):
        report = await p.setup(rig.cluster)
        print(report, report.output if i == 0 else "")
        print(report.changed, report.seconds)
        assert report.ok
    for e in rig.events:
        print(f"{e.at - rig.events[0].at:.2f}", e) if "Started" in type(
            e
        ).__name__ else 0
    import subprocess

    print(
        subprocess.run(
            [
                str(rig.home("frontend001") / "bin/dask-python"),
                "-c",
                "from distributed import Client; c=Client(); print(c, sum(c.gather(c.map(lambda x:x*x, range(100)))))",
            ],
            capture_output=True,
            text=True,
        )
    )
    print(
        subprocess.run(
            [
                "ls -la ~/.local/share/aioelasticluster/dask; cat ~/.local/share/aioelasticluster/dask/*.log; ss -ltnp | grep dask"
            ],
            shell=True,
            env={"HOME": str(rig.home("compute001")), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        ).stdout
    )
    import signal, json

    for f in (rig.folder / "hosts").rglob("dask/*.json"):
        d = json.loads(f.read_text())
        if "digest" in d:
            os.killpg(d["pid"], signal.SIGTERM)
