"""Where a container engine is looked for, and what is said when there is none."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from aioelasticluster import (
    ConfigurationError,
    ContainerCloudProvider,
    ProviderError,
    UnauthorizedError,
)
from aioelasticluster.providers.containers import places
from aioelasticluster.providers.containers.places import Place, find_place

VARIABLES = (
    "CONTAINER_HOST",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty home, and usual places of which all are in it."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = [tmp_path / "docker.sock", tmp_path / "podman.sock"]
    monkeypatch.setattr(places, "_usual", lambda: iter(usual))
    return tmp_path


def listening(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()
    return made


@pytest.fixture
def podman(home: Path) -> Iterator[str]:
    """Have Podman's usual socket, and it alone."""
    with listening(home / "podman.sock"):
        yield f"unix://{home / 'podman.sock'}"


def test_the_first_usual_socket_that_accepts_is_taken(home: Path, podman: str) -> None:
    with listening(home / "docker.sock"):
        pass  # what is left of an engine that was killed
    assert find_place(None) == Place(podman)


def test_what_is_told_comes_before_what_is_usual(
    home: Path, podman: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    assert find_place(None) == Place("tcp://127.0.0.1:2375")
    assert find_place(podman) == Place(podman)


def test_docker_s_current_context_is_followed(
    home: Path, podman: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = home / ".docker"
    digest = hashlib.sha256(b"mine").hexdigest()
    meta = settings / "contexts" / "meta" / digest / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Endpoints": {"docker": {"Host": podman}}}))
    (settings / "config.json").write_text('{"currentContext": "mine"}')
    assert find_place(None) == Place(podman)

    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    with pytest.raises(ConfigurationError, match="DOCKER_CONTEXT='other'"):
        find_place(None)


def test_without_an_engine_all_that_was_tried_is_named(home: Path) -> None:
    with listening(home / "docker.sock"):
        pass
    with pytest.raises(ProviderError) as caught:
        find_place(None)
    said = str(caught.value)
    assert f"unix://{home / 'docker.sock'}: connection refused" in said
    assert f"unix://{home / 'podman.sock'}: no such file or directory" in said
    assert "DOCKER_HOST" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_that_is_not_for_us_says_how_to_be_let_in(home: Path) -> None:
    with listening(home / "docker.sock"):
        (home / "docker.sock").chmod(0o600)
        for folder in (home, *home.parents):
            if folder.stat().st_uid == 0 and "pytest" in folder.name:
                folder.chmod(0o755)
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            os.setuid(65534)
            try:
                find_place(None)
            except BaseException as fault:
                os.write(writer, f"{type(fault).__name__} {fault}".encode())
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with open(reader, "rb") as file:
            said = file.read().decode()
    assert said.startswith(UnauthorizedError.__name__)
    assert "usermod -aG docker" in said
    assert f"unix://{home / 'docker.sock'}: permission denied" in said


def test_certificates_that_cannot_be_read_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(home))
    (home / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="DOCKER_CERT_PATH"):
        find_place("tcp://127.0.0.1:2376")


@pytest.mark.parametrize("way", ["variables", "context"])
async def test_what_is_spoken_by_tls_is_never_sent_in_the_clear(
    home: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A listener sees a TLS hello first."""
    first = bytearray()

    async def listen(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first.extend(await reader.read(1))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if way == "variables":
        monkeypatch.setenv("DOCKER_HOST", url)
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    else:
        settings = home / ".docker" / "contexts"
        digest = hashlib.sha256(b"mine").hexdigest()
        (settings / "tls" / digest / "docker").mkdir(parents=True)
        (settings / "meta" / digest).mkdir(parents=True)
        meta = json.dumps({"Endpoints": {"docker": {"Host": url}}})
        (settings / "meta" / digest / "meta.json").write_text(meta)
        monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    async with server:
        with pytest.raises(ProviderError):
            await ContainerCloudProvider("image").find()
    assert bytes(first) == b"\x16"


def test_a_variable_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_HOST", "ssh://me@example.org/run/podman.sock")
    with pytest.raises(ConfigurationError) as caught:
        find_place(None)
    assert caught.value.field == "CONTAINER_HOST"


async def test_a_provider_without_an_engine_fails_at_its_first_request(
    home: Path,
) -> None:
    provider = ContainerCloudProvider("image")
    with pytest.raises(ProviderError, match="no container engine answers") as caught:
        await provider.find()
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"image": ""}, "image"),
        ({"image": " spaced"}, "image"),
        ({"image": "image", "docker_host": "/run/docker.sock"}, "docker_host"),
        ({"image": "image", "network": "host"}, "network"),
    ],
)
def test_arguments_that_can_never_do_are_refused_by_name(
    arguments: dict[str, str], field: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ContainerCloudProvider(**arguments)
    assert caught.value.field == field
