import os
from tests.setup.conftest import Rig
import pytest, dataclasses, time
@pytest.mark.timeout(200)
async def test_x(make_rig) -> None:
    rig = make_rig(["frontend001","compute001","compute002","compute003"])
    p = rig.provider(timeout=100, groups={"frontend":"dask_scheduler","compute":"dask_worker"}, cache_dir=os.environ.get("TCACHE", rig.folder/"cache"))
    for i in range(2):
        r = await p.setup(rig.cluster)
        print(r, r.changed); 
        if not r.ok: print(r.output[-3000:])
