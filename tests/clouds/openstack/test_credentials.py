"""The ways to become a user of the cloud, and what is said of those that fail."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import openstack
import pytest
import yaml
from keystoneauth1.access.access import AccessInfo

from aioelasticluster import MemRepository, OpenStackCloudProvider
from aioelasticluster.errors import (
    ConfigurationError,
    ProviderError,
    UnauthorizedError,
    WrongAccountError,
)
from tests.clouds.openstack.clusters import (
    access,
    alive,
    cluster_on,
    made,
    provider_for,
    quick,
    quicken,
    unrecorded,
)
from tests.clouds.openstack.hasty import hasty_keystone
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.sharing import MARKS
from tests.clouds.openstack.user import user
from tests.support import RecordingSetup

pytestmark = MARKS


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's user leads to a cloud."""
    quicken(monkeypatch)
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


def write_clouds(rig: OpenStackRig, folder: Path, monkeypatch: Any) -> Path:
    """Write a clouds.yaml with the users' entries, where the SDK looks for it."""
    file = folder / "clouds.yaml"
    clouds = {name: rig.credentials(name) for name in ("demo", "demo2")}
    file.write_text(yaml.safe_dump({"clouds": clouds}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    return file


async def lives(provider: OpenStackCloudProvider, folder: Path) -> str:
    """Start and stop a cluster of one node; return what is recorded of its cloud."""
    repository = MemRepository()
    cluster = cluster_on(quick(provider), folder, 1, repository=repository)
    assert (await cluster.start()).ok
    (record,) = await repository.load_all()
    again = await repository.get("demo", setup_provider=RecordingSetup())
    await again.stop()
    return json.dumps(dict(record.head.provider.settings))


async def test_an_entry_of_clouds_yaml_is_enough_and_all_that_is_recorded(
    rig: OpenStackRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds(rig, tmp_path, monkeypatch)
    told = await lives(OpenStackCloudProvider("demo"), tmp_path)
    assert json.loads(told) == {"cloud": "demo"}
    assert {one["project"] for one in rig.servers()} == {"demo"}
    assert (alive(rig), made(rig)) == (set(), {})


async def test_the_variables_are_enough(
    rig: OpenStackRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in rig.variables("demo2").items():
        monkeypatch.setenv(name, value)
    provider = OpenStackCloudProvider()
    assert provider.settings() == {}
    async with provider, provider_for(rig, "demo2") as other:
        assert await provider.identity() == await other.identity()
        assert await provider.find() == []


async def test_what_is_given_goes_before_what_the_environment_says(
    rig: OpenStackRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in rig.variables("demo2").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OS_TOKEN", "stale")
    async with provider_for(rig) as mine, provider_for(rig, "demo2") as other:
        assert await mine.identity() != await other.identity()


async def test_the_same_cloud_is_known_however_its_address_is_written(
    rig: OpenStackRig,
) -> None:
    told = set()
    for url in (rig.auth_url, f"{rig.auth_url}/", rig.auth_url.removesuffix("/v3")):
        provider = OpenStackCloudProvider(**{**access(rig), "auth_url": url})
        async with provider:
            told.add(await provider.identity())
    assert len(told) == 1


@contextmanager
def application_credential(
    rig: OpenStackRig, lifetime: float = 600.0
) -> Iterator[dict[str, Any]]:
    """Give a program of a user's a way in of its own, for the block.

    By itself it ends after `lifetime` seconds.
    """
    end = datetime.now(UTC) + timedelta(seconds=lifetime)
    with user(rig) as demo:
        identity, owner = demo.sdk.identity, demo.sdk.current_user_id
        found = identity.create_application_credential(
            owner, "program", expires_at=end.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        )
        try:
            yield {
                "auth_url": rig.auth_url,
                "region_name": rig.region,
                "application_credential_id": found.id,
                "application_credential_secret": found.secret,
            }
        finally:
            identity.delete_application_credential(owner, found.id)


async def test_an_application_credential_is_enough_until_it_is_withdrawn(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    with application_credential(rig) as given:
        secret = given["application_credential_secret"]
        cluster = cluster_on(quick(OpenStackCloudProvider(**given)), tmp_path, 1)
        assert (await cluster.start()).ok
        assert secret not in str(cluster.cloud_provider.settings())
        assert secret not in repr(cluster.cloud_provider)
        assert {one["project"] for one in rig.servers()} == {"demo"}
        await cluster.stop()
        assert (alive(rig), made(rig)) == (set(), {})
    with pytest.raises(UnauthorizedError):
        async with OpenStackCloudProvider(**given) as provider:
            await provider.identity()


async def test_a_stop_with_another_project_s_credentials_ends_nothing(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    repository = MemRepository()
    cluster = cluster_on(provider_for(rig), tmp_path, 1, repository=repository)
    await cluster.start()
    found = await repository.get(
        "demo",
        cloud_provider=provider_for(rig, "demo2"),
        setup_provider=RecordingSetup(),
    )
    with pytest.raises(WrongAccountError) as caught:
        await found.stop()

    with user(rig) as demo, user(rig, "demo2") as other:
        assert demo.sdk.current_project_id in caught.value.expected
        assert other.sdk.current_project_id in caught.value.found
    assert len(rig.servers("ACTIVE")) == 1
    assert [one.head.name for one in await repository.load_all()] == ["demo"]
    await cluster.stop()
    assert (alive(rig), made(rig)) == (set(), {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "wrong"},
        {"username": "nobody"},
        {"project_name": "nowhere"},
        {"user_domain_id": "elsewhere"},
    ],
    ids=str,
)
async def test_credentials_that_are_wrong_are_refused_and_nothing_is_recorded(
    rig: OpenStackRig, tmp_path: Path, wrong: dict[str, str]
) -> None:
    provider = quick(OpenStackCloudProvider(**{**access(rig), **wrong}))
    await refused(provider, tmp_path, UnauthorizedError)
    assert {one["service"] for one in rig.requests()} == {"keystone"}
    assert rig.servers() == []


async def refused(
    provider: OpenStackCloudProvider, folder: Path, kind: type[Exception]
) -> Exception:
    """Start a cluster in vain; return why."""
    repository = MemRepository()
    cluster = cluster_on(provider, folder, 1, repository=repository)
    with pytest.raises(kind) as caught:
        await cluster.start()
    assert await repository.load_all() == []
    return caught.value


async def test_nothing_that_leads_to_a_cloud_is_told_to_be_given(
    tmp_path: Path,
) -> None:
    error = await refused(OpenStackCloudProvider(), tmp_path, ConfigurationError)
    assert "clouds.yaml" in str(error)


async def test_an_entry_that_clouds_yaml_does_not_have_is_named(
    rig: OpenStackRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clouds(rig, tmp_path, monkeypatch)
    provider = OpenStackCloudProvider("nimbus")
    error = await refused(provider, tmp_path, ConfigurationError)
    assert "nimbus" in str(error)


async def test_a_region_that_the_catalogue_does_not_have_is_refused(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    provider = OpenStackCloudProvider(**{**access(rig), "region_name": "mars"})
    error = await refused(provider, tmp_path, ProviderError)
    assert "mars" in str(error)


# Tokens that end


async def test_a_token_that_is_withdrawn_is_replaced_by_means_of_the_password(
    rig: OpenStackRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[Any] = []
    provider = provider_for(rig)
    cluster = cluster_on(provider, tmp_path, 1)
    prepare = provider.prepare

    async def withdrawn(*arguments: Any) -> Any:
        """Withdraw the token before any service but keystone has seen it."""
        assert provider._kept is not None
        session = provider._kept._connection().session
        tokens.append(session.get_token())
        withdraw(rig, tokens[0])
        found = await prepare(*arguments)
        tokens.append(session.get_token())
        return found

    monkeypatch.setattr(provider, "prepare", withdrawn)
    assert (await cluster.start()).ok
    assert tokens[0] != tokens[1]
    assert 401 in {one["status"] for one in rig.requests()}
    await cluster.stop()
    assert (alive(rig), made(rig)) == (set(), {})


async def test_tokens_that_expire_midway_are_replaced_when_nova_refuses_them(
    rig: OpenStackRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifetime = 2
    # As on a machine whose clock is late: else they are replaced in good time.
    monkeypatch.setattr(AccessInfo, "will_expire_soon", lambda *_: False)
    with hasty_keystone(rig, lifetime) as url:
        provider = quick(OpenStackCloudProvider(**{**access(rig), "auth_url": url}))
        for step in ("launch", "terminate"):
            monkeypatch.setattr(provider, step, late(provider, step, lifetime + 1))
        cluster = cluster_on(provider, tmp_path, 2)
        assert (await cluster.start()).ok
        assert await unrecorded(rig, cluster.repository) == set()
        await cluster.stop()

    refused = {
        (one["method"], one["path"].rpartition("/")[2] == "servers")
        for one in rig.requests("nova")
        if one["status"] == 401
    }
    assert ("POST", True) in refused
    assert ("DELETE", False) in refused
    assert len(rig.servers()) == 2
    assert (alive(rig), made(rig)) == (set(), {})


def late(
    provider: OpenStackCloudProvider, step: str, seconds: float
) -> Callable[..., Awaitable[Any]]:
    """Return a step that takes its time before it does anything."""
    do = getattr(provider, step)

    async def done_late(*arguments: Any) -> Any:
        await anyio.sleep(seconds)
        return await do(*arguments)

    return done_late


@pytest.mark.soak
async def test_a_credential_that_expires_midway_ends_the_start_and_loses_nothing(
    rig: OpenStackRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = MemRepository()
    with application_credential(rig, lifetime=15) as given:
        provider = quick(OpenStackCloudProvider(**given))
        monkeypatch.setattr(provider, "describe", late(provider, "describe", 16.0))
        cluster = cluster_on(provider, tmp_path, 2, repository=repository)
        with pytest.raises(UnauthorizedError):
            await cluster.start()
    assert len(alive(rig)) == 2
    assert await unrecorded(rig, repository) == set()

    again = await repository.get(
        "demo", cloud_provider=provider_for(rig), setup_provider=RecordingSetup()
    )
    await again.stop()
    assert (alive(rig), made(rig)) == (set(), {})
    assert await repository.load_all() == []


def withdraw(rig: OpenStackRig, token: str) -> None:
    """Have keystone refuse a token from now on."""
    admin = openstack.connect(**rig.admin, load_yaml_config=False, load_envvars=False)
    try:
        headers = {"X-Subject-Token": token}
        answer = admin.identity.delete("/auth/tokens", headers=headers)
        assert answer.status_code == 204
    finally:
        admin.close()


async def test_a_token_alone_is_enough_until_it_is_withdrawn(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    with user(rig) as demo:
        given: dict[str, Any] = {
            "auth_url": rig.auth_url,
            "region_name": rig.region,
            "token": demo.sdk.session.get_token(),
            "project_id": demo.sdk.current_project_id,
        }
    async with OpenStackCloudProvider(**given) as provider:
        assert given["token"] not in str(provider.settings())
        assert await provider.find() == []
    withdraw(rig, given["token"])
    await refused(OpenStackCloudProvider(**given), tmp_path, UnauthorizedError)
