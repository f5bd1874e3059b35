"""Who asks: service accounts, users, the machine's own account, and where they lie."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import GoogleCloudProvider, MemRepository
from aioelasticluster.errors import UnauthorizedError, WrongAccountError
from tests.clouds.gce.clusters import (
    alive,
    cluster_on,
    made,
    provider_for,
    quicken,
)
from tests.clouds.gce.running import GceEndpoint
from tests.support import RecordingSetup

#: Says which project a provider finds without being told its credentials.
WHO = """
import asyncio, sys
from aioelasticluster import GoogleCloudProvider

async def main():
    provider = GoogleCloudProvider(sys.argv[1], sys.argv[2], api_root=sys.argv[3])
    async with provider:
        print(await provider.identity())

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def quick(gce: GceEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    gce.behave(boot_seconds=0.05, stop_seconds=0.05)


async def test_a_user_s_own_credentials_will_do(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    user = gce.write_credentials(tmp_path).first_user
    provider = provider_for(gce, tmp_path, credentials=str(user))
    cluster = cluster_on(gce, tmp_path, 2, provider=provider)
    assert (await cluster.start(timeout=10)).ok
    await cluster.stop()
    assert not alive(gce)


def asked_elsewhere(gce: GceEndpoint, folder: Path, **variables: str) -> str:
    """Ask in a process that has nothing but these variables and an empty home."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", WHO, gce.project, gce.zone, gce.api_root],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env=kept | {"HOME": str(folder), **variables},
    )
    return done.stdout.strip()


def test_the_metadata_server_is_asked_on_google_s_own_machines(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    told = asked_elsewhere(gce, tmp_path, GCE_METADATA_HOST=gce.metadata_host)
    assert gce.project in told
    assert gce.requests("metadata")
    assert not gce.requests("token")


def test_a_file_that_the_environment_names_is_used(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    file = gce.write_credentials(tmp_path).first
    told = asked_elsewhere(gce, tmp_path, GOOGLE_APPLICATION_CREDENTIALS=str(file))
    assert gce.project in told
    assert gce.requests("token")


async def test_one_token_is_enough_for_many_requests(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    cluster = cluster_on(gce, tmp_path, 3)
    async with cluster.cloud_provider:
        await cluster.start(timeout=10)
        await cluster.stop()
    assert len(gce.requests("token")) == 1


async def test_a_token_that_google_takes_back_is_asked_for_again_once(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(token_seconds=0.0)
    provider = provider_for(gce, tmp_path)
    async with provider:
        with pytest.raises(UnauthorizedError):
            await provider.find()
    assert len(gce.requests("token")) == 2
    assert len(gce.requests("instances.aggregatedList")) <= 2


@pytest.mark.parametrize("known", ["files", "project"])
async def test_another_project_s_credentials_end_nothing(
    gce: GceEndpoint, tmp_path: Path, known: str
) -> None:
    repository = MemRepository()
    cluster = cluster_on(
        gce, tmp_path, 2, repository=repository, ssh_from="192.0.2.0/24"
    )
    await cluster.start(timeout=10)
    before, had = alive(gce), made(gce)
    found = await repository.get(
        "demo",
        cloud_provider=strange_provider(gce, tmp_path, known),
        setup_provider=RecordingSetup(),
    )
    expected = WrongAccountError if known == "project" else UnauthorizedError
    with pytest.raises(expected):
        await found.stop()

    assert (alive(gce), made(gce)) == (before, had)
    assert [one.head.name for one in await repository.load_all()] == ["demo"]
    await cluster.stop()
    assert not alive(gce)
    assert not made(gce)


def strange_provider(gce: GceEndpoint, folder: Path, known: str) -> GoogleCloudProvider:
    """Return a provider of the other account, in its own project or in ours."""
    options: dict[str, Any] = {} if known == "project" else {"project_id": gce.project}
    return provider_for(gce, folder, other=True, **options)
