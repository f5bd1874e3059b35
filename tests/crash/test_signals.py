"""A script without any handler is interrupted, once or twice, or told to end."""

from __future__ import annotations

import signal

import anyio
import pytest

from tests.crash.scene import PROMISE, Scene

#: What Python ends with after a KeyboardInterrupt that nobody caught: a shell says 130.
INTERRUPTED = -signal.SIGINT


async def interrupted(scene: Scene, *points: str) -> None:
    """Run a start that gets a SIGINT at each of these points."""
    script = scene.script("start", strikes=dict.fromkeys(points, "SIGINT"))
    with anyio.fail_after(PROMISE):
        assert await scene.run(script) == INTERRUPTED, scene.errors
    assert "KeyboardInterrupt" in scene.errors


@pytest.mark.parametrize(
    "point",
    [
        "after transaction 1",
        "before prepare 1",
        "before launch 1",
        "after launch 2",
        "before accept 1",
        "after probe 1",
    ],
)
async def test_an_interrupted_start_ends_what_it_has_launched(
    scene: Scene, point: str
) -> None:
    await interrupted(scene, point)
    await scene.check_empty()


@pytest.mark.parametrize("second", ["before terminate 1", "after terminate 1"])
async def test_a_start_that_is_interrupted_twice_is_on_record_for_a_stop(
    scene: Scene, second: str
) -> None:
    await interrupted(scene, "after launch 2", second)
    with anyio.fail_after(PROMISE):
        await scene.cluster().stop()
    await scene.check_empty()


async def test_an_interrupted_stop_is_completed_by_the_next(scene: Scene) -> None:
    await scene.cluster().start()
    script = scene.script("stop", strikes={"before terminate 1": "SIGINT"})
    with anyio.fail_after(PROMISE):
        assert await scene.run(script) == INTERRUPTED, scene.errors
        await scene.cluster().stop()
    await scene.check_empty()


async def test_a_termination_signal_without_a_handler_is_as_sudden_as_a_crash(
    scene: Scene,
) -> None:
    script = scene.script("start", strikes={"after launch 2": "SIGTERM"})
    assert await scene.run(script) == -signal.SIGTERM
    assert len(await scene.instances()) == scene.computes + 1
    with anyio.fail_after(PROMISE):
        await scene.cluster().stop()
    await scene.check_empty()
