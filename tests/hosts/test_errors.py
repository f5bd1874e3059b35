"""What goes wrong in an engine is said in words that help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aioelasticluster import (
    InvalidRequestError,
    ProviderError,
    StartError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.containers import launching
from tests.hosts.clusters import cluster_on, provider_for
from tests.hosts.contents import ask, containers, contents
from tests.hosts.fixtures import MakeCluster
from tests.hosts.images import TAG
from tests.hosts.running import RunningEngine, running_engine
from tests.hosts.sharing import MARKS

pytestmark = MARKS


@pytest.fixture
def lacking(engine: RunningEngine) -> Iterator[str]:
    """Give the name of an image in which something is missing, once it is made."""
    name = "aioelasticluster-tests-lacking"
    yield name
    ask(engine.url, "DELETE", f"images/{name}?force=true")


def without(engine: RunningEngine, path: str, image: str) -> None:
    """Make an image that lacks a file of the tests' one."""
    body = {"Image": TAG, "Cmd": ["rm", path]}
    id = ask(engine.url, "POST", "containers/create", body)["Id"]
    ask(engine.url, "POST", f"containers/{id}/start")
    ask(engine.url, "POST", f"containers/{id}/wait")
    ask(engine.url, "POST", f"commit?container={id}&repo={image}")
    ask(engine.url, "DELETE", f"containers/{id}")


def fault_of(caught: pytest.ExceptionInfo[StartError]) -> str:
    """Return the one node's fault."""
    (fault,) = caught.value.report.failed
    return str(fault.error)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/usr/sbin/sshd", "no SSH server"),
        ("/usr/lib/systemd/systemd", "no systemd"),
    ],
)
async def test_an_image_that_cannot_serve_says_what_it_lacks(
    engine: RunningEngine, lacking: str, tmp_path: Path, path: str, words: str
) -> None:
    without(engine, path, lacking)
    cluster = cluster_on(provider_for(engine.url, image=lacking), tmp_path, compute=1)
    with pytest.raises(StartError) as caught:
        await cluster.start()
    said = fault_of(caught)
    assert words in said
    assert lacking in said
    assert "aioelasticluster image build" in said
    await cluster.stop()


async def test_a_systemd_that_ends_at_once_says_why(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without these rights it cannot mount its control groups, as on some machines."""
    monkeypatch.setattr(launching, "CAPABILITIES", ())
    cluster = make_cluster(compute=1)
    with pytest.raises(StartError) as caught:
        await cluster.start()
    said = fault_of(caught)
    assert "systemd in the container ended at once" in said
    assert "no cgroup2 for systemd" in said
    assert "control groups" in said


async def test_a_missing_image_says_how_to_get_it(
    engine: RunningEngine, make_cluster: MakeCluster
) -> None:
    cluster = make_cluster(compute=1, options={"image": "no-such-image:7"})
    with pytest.raises(InvalidRequestError) as caught:
        await cluster.start()
    command = "aioelasticluster image build --tag no-such-image:7"
    assert command in str(caught.value)
    assert not contents(engine.url)


async def test_a_missing_network_says_how_to_get_it(
    engine: RunningEngine, tmp_path: Path
) -> None:
    provider = provider_for(engine.url, network="nowhere")
    cluster = cluster_on(provider, tmp_path, compute=1)
    with pytest.raises(InvalidRequestError) as caught:
        await cluster.start()
    assert "docker network create nowhere" in str(caught.value)


async def test_a_folder_that_cannot_be_mounted_leaves_nothing(
    engine: RunningEngine, make_cluster: MakeCluster, tmp_path: Path
) -> None:
    """Engines refuse it when the container is made, or when it is started."""
    (tmp_path / "file").write_text("no folder")
    options = {"volumes": [f"{tmp_path / 'file'}:/etc"]}
    cluster = make_cluster(compute=2, options=options)
    with pytest.raises(InvalidRequestError) as caught:
        await cluster.start()
    assert "directory" in str(caught.value)
    assert not contents(engine.url).containers


async def test_a_container_of_somebody_else_with_the_same_name_stays(
    engine: RunningEngine, make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "container_name", lambda *names: "taken")
    body = {"Image": TAG, "Cmd": ["sleep", "60"]}
    id = ask(engine.url, "POST", "containers/create?name=taken", body)["Id"]
    try:
        with pytest.raises(InvalidRequestError, match="taken exists, and is not"):
            await make_cluster(compute=1).start()
        assert [one["Id"] for one in containers(engine.url)] == [id]
    finally:
        ask(engine.url, "DELETE", f"containers/{id}")


async def test_an_engine_that_goes_away_is_no_end_of_its_containers(
    tmp_path: Path,
) -> None:
    with running_engine("docker") as gone:
        provider = provider_for(gone.url)
        async with provider:
            await provider.find()
    with pytest.raises(ProviderError) as caught:
        async with provider:
            await provider.find()
    assert gone.url in str(caught.value)
    assert not isinstance(caught.value, UnknownOutcomeError)
