"""A program is killed at random moments of a start; another one takes over."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

from aioelasticluster import find_orphans, terminate_orphans
from tests.crash.program import DONE
from tests.crash.scene import PROMISE, Scene

MOMENTS = 20


async def stop(scene: Scene) -> None:
    assert await scene.run(scene.script("stop")) == 0
