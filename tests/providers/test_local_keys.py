"""The key pairs of the local cloud: what a user put there, and what clusters need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aioelasticluster.errors import InvalidRequestError
from aioelasticluster.providers.base import Preparation
from tests.providers.local_cloud import LocalCloud


@pytest.fixture
async def keys(cloud: LocalCloud) -> AsyncIterator[Path]:
    """Give the folder of the cloud's key pairs."""
    yield cloud.state / "keys"
    for path in (cloud.state / "keys").glob("*"):
        path.unlink()
    await cloud.provider.cleanup("")
    if cloud.state.exists():
        cloud.state.rmdir()


def preparation(cloud: LocalCloud, name: str, cluster_id: str) -> Preparation:
    """Return what `prepare` is asked for a cluster."""
    return Preparation(
        cluster_id=cluster_id,
        cluster="demo",
        key_name=name,
        public_key=cloud.public_key,
        specs=[],
    )


def names_in(folder: Path) -> list[str]:
    """Return the names of a folder's files, none if there is no folder."""
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def put(path: Path, text: str) -> None:
    """Write a file in a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def test_a_key_pair_is_made_for_the_cluster_and_removed_with_it(
    cloud: LocalCloud, keys: Path
) -> None:
    for cluster_id in ("1" * 32, "2" * 32):
        ask = preparation(cloud, "../odd name", cluster_id)
        made = await cloud.provider.prepare(ask)
        assert made == {"key_name": f"../odd name-{cluster_id[:8]}"}
    assert len(names_in(keys)) == 2
    await cloud.provider.cleanup("1" * 32)
    [left] = names_in(keys)
    assert "22222222" in left
    await cloud.provider.cleanup("2" * 32)
    assert not names_in(keys)


async def test_clusters_whose_ids_begin_alike_keep_their_key_pairs(
    cloud: LocalCloud, keys: Path
) -> None:
    await cloud.provider.prepare(preparation(cloud, "key", "1" * 32))
    await cloud.provider.cleanup("1" * 8 + "2" * 24)
    assert names_in(keys)


async def test_the_users_own_equal_key_pair_is_used_and_kept(
    cloud: LocalCloud, keys: Path
) -> None:
    put(keys / "key.pub", f"{cloud.public_key.strip()} me@home\n")
    ask = preparation(cloud, "key", cloud.cluster_id)
    assert await cloud.provider.prepare(ask) == {"key_name": "key"}
    await cloud.provider.cleanup(cloud.cluster_id)
    assert names_in(keys) == ["key.pub"]


async def test_a_key_pair_of_that_name_with_another_key_is_an_error(
    cloud: LocalCloud, keys: Path
) -> None:
    put(keys / "key.pub", "ssh-ed25519 AAAAother\n")
    with pytest.raises(InvalidRequestError, match="'key'"):
        await cloud.provider.prepare(preparation(cloud, "key", cloud.cluster_id))
