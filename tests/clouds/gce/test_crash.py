"""A program on Compute Engine is killed as by the power: nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clouds.crashing import (
    DIGITS,
    Crashes,
    Way,
    completed,
    soak,
    stopped,
    with_a_key,
)
from tests.clouds.gce.clusters import quicken
from tests.clouds.gce.running import GceEndpoint
from tests.clouds.gce.scene import GceScene
from tests.clouds.scenes import CloudScene


class TestOnGoogle(Crashes):
    span = 2.0

    @pytest.fixture
    def scene(
        self, gce_hosts: GceEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> GceScene:
        """Give an empty scene, and do not wait long in it."""
        quicken(monkeypatch)
        gce_hosts.behave(boot_seconds=0.3, stop_seconds=0.1)
        return GceScene(with_a_key(tmp_path), endpoint=gce_hosts)

    def tokens(self, scene: CloudScene) -> list[str]:
        return [one["name"][-DIGITS:] for one in scene.endpoint.instances()]

    @pytest.mark.parametrize("way", [completed, pytest.param(stopped, marks=soak)])
    async def test_a_launch_that_was_under_way_when_its_sender_died_is_found(
        self, scene: GceScene, way: Way
    ) -> None:
        scene.endpoint.behave(operation_seconds=1.0)
        script = scene.script("start", at_launch={"latency": 0.1})
        await scene.killed_before_it_hears_of_its_launch(script)
        launched = scene.endpoint.alive()
        scene.endpoint.behave(latency=0.0, operation_seconds=0.1)
        await way(scene)
        assert len(launched) == scene.computes
        assert self.launches(scene) == 1

    async def test_rules_that_were_made_for_nothing_are_used_and_deleted(
        self, scene: GceScene
    ) -> None:
        await scene.struck("start", "after prepare 1")
        assert self.launches(scene) == 0
        assert len(scene.endpoint.requests("firewalls.insert")) == 2
        await completed(scene)
        assert self.launches(scene) == 1
