"""Who asks: service accounts, users, the machine's own account, and where they lie."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from aioelasticluster import GoogleCloudProvider, MemRepository
from aioelasticluster._aio.polling import backoff, poll
from aioelasticluster.errors import UnauthorizedError, WrongAccountError
from tests.clouds.clusters import alive, made
from tests.clouds.gce.clusters import cluster_on, provider_for, quicken
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


def provider_of(
    gce: GceEndpoint, folder: Path, told: dict[str, Any] | str
) -> GoogleCloudProvider:
    """Return a provider whose credentials file says something."""
    file = folder / "told.json"
    file.touch(mode=0o600)
    file.write_text(told if isinstance(told, str) else json.dumps(told))
    return provider_for(gce, folder, credentials=str(file))


async def test_a_user_s_own_credentials_will_do(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    user = gce.write_credentials(tmp_path).first_user
    provider = provider_for(gce, tmp_path, credentials=str(user))
    cluster = cluster_on(gce, tmp_path, 2, provider=provider)
    assert (await cluster.start(timeout=10)).ok
    await cluster.stop()
    assert not alive(gce)


# External accounts

#: Where credentials say whose tokens they get.
ACTING = "service_account_impersonation_url"


def sources(subject: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Return where somebody else's token may lie, beside behind an address."""
    file = folder / "subject"
    file.write_text(subject)
    return {
        "file": {"file": str(file)},
        "variable": {"type": "environment", "environment_id": "AIOEC_TEST_SUBJECT"},
    }


async def subject_of(told: dict[str, Any]) -> str:
    """Return somebody else's token from where the credentials say that it is."""
    source = told["credential_source"]
    async with (
        aiohttp.ClientSession() as session,
        session.get(source["url"], headers=source["headers"]) as answer,
    ):
        return str((await answer.json())["id_token"])


@pytest.mark.parametrize("source", ["address", "file", "variable"])
@pytest.mark.parametrize("name", ["first-external", "first-external-acting"])
async def test_an_external_account_s_credentials_will_do(
    gce: GceEndpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    source: str,
) -> None:
    told = gce.credentials()[name]
    if source != "address":
        subject = await subject_of(told)
        monkeypatch.setenv("AIOEC_TEST_SUBJECT", subject)
        told["credential_source"] = sources(subject, tmp_path)[source]
    provider = provider_of(gce, tmp_path, told)
    async with provider:
        assert gce.project in await provider.identity()
    assert len(gce.requests("impersonation")) == (name == "first-external-acting")


async def test_a_user_may_act_as_a_service_account(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    known = gce.credentials()
    told = {
        "type": "impersonated_service_account",
        ACTING: known["first-external-acting"][ACTING],
        "source_credentials": known["first-user"],
        "token_uri": known["first"]["token_uri"],
    }
    provider = provider_of(gce, tmp_path, told)
    async with provider:
        assert gce.project in await provider.identity()
    assert len(gce.requests("impersonation")) == 1


# What is wrong with them


Known = Mapping[str, dict[str, Any]]

#: Credentials, made of right ones, that get no token or one that nobody takes.
WRONG: Mapping[str, Callable[[Known], Any]] = {
    "signed by another": lambda known: (
        known["first"] | {"private_key": known["other"]["private_key"]}
    ),
    "no key": lambda known: known["first"] | {"private_key": "none"},
    "no such account": lambda known: known["first"] | {"client_email": "a@b.example"},
    "a part is missing": lambda known: {"type": "service_account"},
    "an unknown type": lambda known: known["first"] | {"type": "no_such_type"},
    "no type": lambda known: {"client_email": known["first"]["client_email"]},
    "revoked": lambda known: known["first-user"] | {"refresh_token": "revoked"},
    "another's subject": lambda known: (
        known["first-external"]
        | {"credential_source": known["other-external"]["credential_source"]}
    ),
    "no subject": lambda known: (
        known["first-external"] | {"credential_source": {"file": "/no/such/file"}}
    ),
    "acting as another": lambda known: (
        known["first-external-acting"]
        | {ACTING: known["other-external-acting"][ACTING]}
    ),
    "half a file": lambda known: json.dumps(known["first"])[:200],
    "no object": lambda known: "[]",
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_credentials_are_one_clear_error_at_once(
    gce: GceEndpoint, tmp_path: Path, name: str
) -> None:
    provider = provider_of(gce, tmp_path, WRONG[name](gce.credentials()))
    cluster = cluster_on(gce, tmp_path, 1, provider=provider)
    with anyio.fail_after(4), pytest.raises(UnauthorizedError) as caught:
        await cluster.start()

    assert "credentials: " in str(caught.value)
    assert str(tmp_path / "told.json") in str(caught.value)
    assert "PRIVATE KEY" not in str(caught.value)
    assert len(gce.requests()) <= 2
    assert not await cluster.repository.load_all()


def test_a_damaged_file_does_not_make_the_machine_s_account_ours(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    file = tmp_path / "damaged.json"
    file.write_text("{")
    with pytest.raises(subprocess.CalledProcessError):
        asked_elsewhere(
            gce,
            tmp_path,
            GCE_METADATA_HOST=gce.metadata_host,
            GOOGLE_APPLICATION_CREDENTIALS=str(file),
        )
    assert not gce.requests("metadata")


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


async def test_a_token_that_is_taken_back_midway_costs_another_one_and_no_more(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    async def launched() -> bool | None:
        return bool(gce.requests("instances.bulkInsert")) or None

    gce.behave(operation_seconds=0.5)
    cluster = cluster_on(gce, tmp_path, 3)
    async with cluster.cloud_provider, anyio.create_task_group() as group:
        group.start_soon(partial(cluster.start, timeout=10))
        await poll(launched, pauses=backoff(0.02, 0.02))
        gce.revoke_tokens()
    assert len(alive(gce)) == 3
    async with cluster.cloud_provider:
        await cluster.refresh()
        gce.revoke_tokens()
        await cluster.stop()

    refused = [one["action"] for one in gce.requests() if one["status"] == 401]
    assert len(refused) == 2
    assert len(gce.requests("token")) == 4
    assert not alive(gce)


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
