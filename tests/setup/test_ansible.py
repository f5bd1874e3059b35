from __future__ import annotations

import pytest

from tests.setup.conftest import Rig

pytestmark = pytest.mark.ansible


async def test_first(rig: Rig) -> None:
    report = await rig.provider().setup(rig.cluster, extra_args=["-vvvv"])
    print(report, report.output, rig.events)
    assert report.ok
    assert rig.left_behind() == []
