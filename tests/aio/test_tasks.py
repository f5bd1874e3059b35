"""Several things at once, and what comes out when they fail."""

from __future__ import annotations

import anyio
import pytest

from aioelasticluster._aio.tasks import together


async def test_of_several_that_fail_the_first_one_s_error_is_raised() -> None:
    async def fails() -> None:
        await anyio.sleep(0.001)
        raise ValueError("first")

    async def fails_when_it_is_told_to_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("second")

    async def goes_on() -> None:
        await anyio.sleep_forever()

    with pytest.raises(ValueError, match="first"):
        await together(fails_when_it_is_told_to_end, fails, goes_on)
