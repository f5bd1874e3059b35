"""A program on EC2 is killed as by the power: whoever comes next loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clouds.crashing import DIGITS, Crashes, completed, with_a_key
from tests.clouds.ec2.clusters import quicken
from tests.clouds.ec2.running import Ec2Endpoint
from tests.clouds.ec2.scene import Ec2Scene
from tests.clouds.scenes import CloudScene


class TestOnEc2(Crashes):
    span = 1.6

    @pytest.fixture
    def scene(
        self, ec2_hosts: Ec2Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Ec2Scene:
        """Give an empty scene, and do not wait long in it."""
        quicken(monkeypatch)
        ec2_hosts.behave(boot_seconds=0.3, stop_seconds=0.1)
        return Ec2Scene(with_a_key(tmp_path), endpoint=ec2_hosts)

    def tokens(self, scene: CloudScene) -> list[str]:
        return [one["token"][:DIGITS] for one in scene.endpoint.instances()]

    async def test_a_key_pair_that_was_imported_for_nothing_is_used_and_deleted(
        self, scene: Ec2Scene
    ) -> None:
        def imported() -> tuple[int, int]:
            requests = scene.endpoint.requests("ImportKeyPair")
            return self.launches(scene), len(requests)

        await scene.struck("start", "after prepare 1")
        assert imported() == (0, 1)
        await completed(scene)
        assert imported() == (1, 1)
