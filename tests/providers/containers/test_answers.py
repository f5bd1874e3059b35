"""What is made of an engine's answers that are rare: lost ones, refusals, oddities."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiodocker import DockerError

from aioelasticluster import (
    CapacityError,
    ContainerCloudProvider,
    InvalidRequestError,
    ProviderError,
    UnauthorizedError,
    UnknownOutcomeError,
)
from aioelasticluster.providers import repeating
from aioelasticluster.providers.base import InstanceState, LaunchOrder, Preparation
from aioelasticluster.providers.containers import launching
from aioelasticluster.providers.containers.engine import WIDTH
from aioelasticluster.providers.containers.faults import ours
from aioelasticluster.providers.containers.naming import INDEX, TOKEN
from aioelasticluster.providers.containers.resources import NETWORK
from tests.providers.containers.scripted import (
    LOST,
    ScriptedEngine,
    container,
    scripted_engine,
)
from tests.providers.containers.test_seed import order

LIST = "GET containers/json"

CREATE = "POST containers/create"

#: How an engine says that it has done as it was told.
DONE = (204, None)


def the_order() -> LaunchOrder:
    return replace(order(""), resources={NETWORK: "network"})


LABELS = the_order().tags.encoded() | {INDEX: "0"}

NAME = f"demo-compute001-{'1' * 12}"


@pytest.fixture
async def scripted(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedEngine]:
    """Give an engine; requests to it are repeated without much of a pause."""
    monkeypatch.setattr(repeating, "PAUSES", (0.01, 0.01))
    async with scripted_engine() as engine:
        yield engine


@pytest.fixture
async def provider(scripted: ScriptedEngine) -> AsyncIterator[ContainerCloudProvider]:
    """Give a provider that uses it."""
    async with ContainerCloudProvider("image", docker_host=scripted.url) as made:
        yield made


async def test_a_create_call_whose_answers_are_lost_is_not_taken_for_refused(
    scripted: ScriptedEngine, provider: ContainerCloudProvider
) -> None:
    scripted.tell(CREATE, (LOST, None))
    scripted.tell(LIST, (200, []))
    with pytest.raises(UnknownOutcomeError):
        await provider.launch(the_order())
    assert scripted.asked.count(CREATE) == repeating.TRIES


async def test_what_another_request_still_makes_is_not_taken_for_refused(
    scripted: ScriptedEngine,
    provider: ContainerCloudProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launching, "_LOOKS", 2)
    scripted.tell(CREATE, (409, {"message": "the name is taken"}))
    scripted.tell(LIST, (200, []))
    with pytest.raises(UnknownOutcomeError, match="another request"):
        await provider.launch(the_order())


async def test_a_start_whose_answer_is_lost_loses_no_container(
    scripted: ScriptedEngine, provider: ContainerCloudProvider
) -> None:
    """It was made, so it is not made again."""
    scripted.tell(CREATE, (201, {"Id": "one"}))
    scripted.tell(f"POST containers/{NAME}/start", (LOST, None))
    scripted.tell(LIST, (200, [container("one", LABELS, "created", "Created")]))
    launched = await provider.launch(the_order())
    assert [instance.id for instance in launched.instances] == ["one"]


async def test_a_machine_without_room_is_no_bad_request(
    scripted: ScriptedEngine, provider: ContainerCloudProvider
) -> None:
    said = "OCI runtime create failed: mkdir /x: No space left on device"
    scripted.tell(CREATE, (201, {"Id": "one"}))
    scripted.tell(f"POST containers/{NAME}/start", (500, {"message": said}))
    scripted.tell(f"DELETE containers/{NAME}", DONE)
    scripted.tell(LIST, (200, []))
    with pytest.raises(CapacityError, match="No space left"):
        await provider.launch(the_order())
    assert f"DELETE containers/{NAME}" in scripted.asked


@pytest.mark.parametrize(
    "words",
    [
        "runc: fork/exec: resource temporarily unavailable",
        "OCI runtime error: Cannot allocate memory",
        "open /x: too many open files",
        "write /x: disk quota exceeded",
    ],
)
def test_shortages_are_told_from_mistakes(words: str) -> None:
    error = ours(DockerError(500, words), "POST /x")
    assert isinstance(error, CapacityError)
    assert words in str(error)


@pytest.mark.parametrize(
    ("status", "words"),
    [(501, "configured logging driver does not support reading"), (409, "is dead")],
)
async def test_output_that_cannot_be_read_is_said_and_breaks_nothing(
    scripted: ScriptedEngine,
    provider: ContainerCloudProvider,
    status: int,
    words: str,
) -> None:
    scripted.tell(LIST, (200, [container("one", LABELS, "exited", "Exited (1)")]))
    about = {"State": {"ExitCode": 1}, "Config": {"Image": "image"}}
    scripted.tell("GET containers/one/json", (200, about))
    scripted.tell("GET containers/one/logs", (status, {"message": words}))
    (found,) = await provider.find()
    assert found.state is InstanceState.FAILED
    assert words in str(found.fault)


async def test_a_failed_container_that_cannot_be_inspected_is_listed(
    scripted: ScriptedEngine, provider: ContainerCloudProvider
) -> None:
    scripted.tell(LIST, (200, [container("one", LABELS, "exited", "Exited (1)")]))
    scripted.tell("GET containers/one/json", (409, {"message": "being removed"}))
    (found,) = await provider.find()
    assert found.state is InstanceState.FAILED


async def test_a_container_that_could_not_be_removed_has_failed_and_says_why(
    scripted: ScriptedEngine, provider: ContainerCloudProvider
) -> None:
    scripted.tell(LIST, (200, [container("one", LABELS, "dead", "Dead")]))
    state = {"Dead": True, "ExitCode": 137, "Error": "device or resource busy"}
    about = {"State": state, "Config": {"Image": "image"}}
    scripted.tell("GET containers/one/json", (200, about))
    (found,) = await provider.find()
    assert found.state is InstanceState.FAILED
    assert "device or resource busy" in str(found.fault)


@pytest.mark.parametrize(
    ("ended", "state"),
    [
        ("2024-05-01T12:00:31.123456789Z", InstanceState.PAUSED),
        ("2024-05-01T14:00:31.123456789+02:00", InstanceState.PAUSED),
        ("2024-05-01T12:00:02.123456789Z", InstanceState.FAILED),
        ("0001-01-01T00:00:00Z", InstanceState.FAILED),
        ("unknown", InstanceState.FAILED),
    ],
)
async def test_a_container_that_has_served_can_serve_again(
    scripted: ScriptedEngine,
    provider: ContainerCloudProvider,
    ended: str,
    state: InstanceState,
) -> None:
    """As after the engine's machine went down: engines list 255 then."""
    scripted.tell(LIST, (200, [container("one", LABELS, "exited", "Exited (255)")]))
    told = {
        "ExitCode": 255,
        "StartedAt": "2024-05-01T12:00:00.987654321Z",
        "FinishedAt": ended,
    }
    about = {"State": told, "Config": {"Image": "image"}}
    scripted.tell("GET containers/one/json", (200, about))
    (found,) = await provider.find()
    assert found.state is state


async def test_one_that_cannot_be_ended_keeps_no_other_from_its_end(
    scripted: ScriptedEngine, provider: ContainerCloudProvider
) -> None:
    scripted.tell("DELETE containers/one", (400, {"message": "is busy"}))
    others = [f"other{number}" for number in range(4 * WIDTH)]
    with pytest.raises(InvalidRequestError, match="is busy"):
        await provider.terminate(["one", *others])
    assert {f"DELETE containers/{id}" for id in others} <= set(scripted.asked)


async def test_a_start_that_is_refused_is_the_bad_luck_of_one_container(
    scripted: ScriptedEngine, provider: ContainerCloudProvider
) -> None:
    """Of one that a killed program has made, but not started."""
    ids = ("one", "two")
    listed = [container(id, LABELS, "created", "Created") for id in ids]
    scripted.tell(LIST, (200, listed))
    refusal = {"message": "OCI runtime error: not a directory"}
    scripted.tell("POST containers/one/start", (500, refusal))
    scripted.tell("POST containers/two/start", DONE)
    first, second = await provider.describe(the_order().tags.cluster_id, ids)
    assert first.state is InstanceState.FAILED
    assert "not a directory" in str(first.fault)
    assert second.state is InstanceState.PENDING


async def test_a_container_that_has_its_name_is_not_renamed(
    scripted: ScriptedEngine, provider: ContainerCloudProvider
) -> None:
    scripted.tell(LIST, (200, [container("one.other", LABELS)]))
    await provider.retag(["one.other"], repository="other")
    assert scripted.asked == [LIST]


def packed(text: str) -> bytes:
    """Return a file as engines send it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("laid_out", "booted", "keys"),
    [
        (f"{LABELS[TOKEN]}-0", "", []),
        (f"{'2' * 32}-0", "aioelasticluster/booted", []),
        (f"{LABELS[TOKEN]}-0", "aioelasticluster/booted", ["ssh-ed25519 AAAA"]),
        (
            f"{LABELS[TOKEN]}-0",
            f"cloud/instances/{LABELS[TOKEN]}/boot-finished",
            ["ssh-ed25519 AAAA"],
        ),
    ],
)
async def test_host_keys_count_once_its_own_first_boot_is_over(
    scripted: ScriptedEngine,
    provider: ContainerCloudProvider,
    laid_out: str,
    booted: str,
    keys: list[str],
) -> None:
    """Before that, they may be those of its image."""
    scripted.tell("GET containers/one/json", (200, {"Config": {"Labels": LABELS}}))
    scripted.files = {
        "/etc/ssh/ssh_host_ed25519_key.pub": packed("ssh-ed25519 AAAA me\n"),
        f"/var/lib/aioelasticluster/laid-out-{laid_out}": packed(""),
        f"/var/lib/{booted}": packed(""),
    }
    shown = await provider.host_keys(["one", "unknown"])
    assert shown == ({"one": keys} if keys else {})


VOLUMES = "GET volumes"


def preparation() -> Preparation:
    spec = replace(order("").spec, options={"volumes": ["home:/home"]})
    return Preparation(
        cluster_id="0" * 32,
        cluster="demo",
        key_name="key",
        public_key="ssh-ed25519 AAAA",
        specs=[spec],
    )


def with_image(scripted: ScriptedEngine) -> None:
    scripted.tell("GET info", (200, {}))
    scripted.tell("GET images/image/json", (200, {"Id": "image"}))


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InvalidRequestError), (401, UnauthorizedError)]
)
async def test_a_refused_preparation_removes_what_it_made_and_nothing_else(
    scripted: ScriptedEngine,
    provider: ContainerCloudProvider,
    status: int,
    kind: type[ProviderError],
) -> None:
    with_image(scripted)
    scripted.tell(VOLUMES, (200, {"Volumes": []}))
    scripted.tell("POST volumes/create", (status, {"message": "no"}))
    scripted.tell("GET networks", (200, [{"Name": "there", "Id": "there"}]))
    with pytest.raises(kind):
        await provider.prepare(preparation())
    assert not [one for one in scripted.asked if one.startswith("DELETE")]

    scripted.tell("GET networks", (200, []))
    scripted.tell("POST networks/create", (201, {"Id": "new"}))
    scripted.tell("DELETE networks/demo-00000000", DONE)
    with pytest.raises(kind):
        await provider.prepare(preparation())
    assert scripted.asked[-1] == "DELETE networks/demo-00000000"


async def test_a_volume_that_nodes_share_remains_theirs(
    scripted: ScriptedEngine, provider: ContainerCloudProvider
) -> None:
    """Also when somebody has made one of the plain name meanwhile."""
    with_image(scripted)
    scripted.tell("GET volumes/home", (200, {"Name": "home"}))
    scripted.tell(VOLUMES, (200, {"Volumes": [{"Name": "home-00000000"}]}))
    scripted.tell("GET networks", (200, [{"Name": "there", "Id": "there"}]))
    assert "home-00000000" in (await provider.prepare(preparation())).values()

    scripted.tell(VOLUMES, (200, {"Volumes": None}))
    assert "home" in (await provider.prepare(preparation())).values()
