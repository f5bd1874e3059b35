"""Images for nodes: made once per recipe, from packages or from another image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aioelasticluster import Cluster, ImageBuildError, UnsupportedError
from aioelasticluster.cli.main import app
from aioelasticluster.providers.containers.building import build_image
from aioelasticluster.providers.containers.recipes import (
    ImageRecipe,
)
from tests.hosts.clusters import cluster_on, provider_for
from tests.hosts.contents import ask
from tests.hosts.images import DOWNLOADS, TAG, recipe
from tests.hosts.running import RunningEngine
from tests.hosts.sharing import MARKS

pytestmark = MARKS

#: What only cloud-init does, and what our own script does, too.
USER_DATA = "#cloud-config\ntimezone: Europe/Berlin\nruncmd: [touch /etc/done]\n"

#: What a test makes is called so.
MADE = "aioelasticluster-tests-made:1"


@pytest.fixture
def url(engine: RunningEngine) -> Iterator[str]:
    """Return the engine's address; an image that a test has made goes."""
    yield engine.url
    names = {
        name
        for image in ask(engine.url, "GET", "images/json")
        for name in image["RepoTags"] or ()
    }
    if MADE in {name.removeprefix("docker.io/library/") for name in names}:
        ask(engine.url, "DELETE", f"images/{MADE}?force=true")


async def test_the_same_recipe_is_made_once(url: str) -> None:
    again = await build_image(recipe(), tag=MADE, docker_host=url)
    assert not again.built
    assert ask(url, "GET", f"images/{MADE}/json")["Id"] == again.id
    assert ask(url, "GET", f"images/{TAG}/json")["Id"] == again.id


def test_the_command_says_what_it_made(url: str) -> None:
    options = ["--bootstrap", "--tag", MADE, "--docker-host", url]
    downloads = [word for name in DOWNLOADS for word in ("--download", name)]
    said = CliRunner().invoke(app, ["image", "build", *options, *downloads])
    assert said.exit_code == 0, said.output
    assert re.search(f"{MADE} up to date .[0-9a-f]{{12}}", said.output)


async def test_without_mmdebstrap_the_other_way_is_named(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnsupportedError, match="--from debian:12"):
        await build_image(
            ImageRecipe(base=None, packages=("gcc",)), tag=MADE, docker_host=url
        )


async def test_a_base_that_cannot_be_had_is_named(url: str) -> None:
    base = "127.0.0.1:1/none:1"
    with pytest.raises(ImageBuildError, match=re.escape(base)):
        await build_image(ImageRecipe(base=base), tag=MADE, docker_host=url)


async def test_a_base_that_is_no_debian_says_so(url: str) -> None:
    """One that lacks apt-get, made of the tests' own."""
    said: list[str] = []
    body = {"Image": TAG, "Cmd": ["rm", "/usr/bin/apt-get"]}
    id = ask(url, "POST", "containers/create", body)["Id"]
    ask(url, "POST", f"containers/{id}/start")
    ask(url, "POST", f"containers/{id}/wait")
    ask(url, "POST", f"commit?container={id}&repo=aioelasticluster-tests-bare")
    ask(url, "DELETE", f"containers/{id}")
    try:
        with pytest.raises(ImageBuildError, match="has no apt-get"):
            await build_image(
                ImageRecipe(base="aioelasticluster-tests-bare"),
                tag=MADE,
                docker_host=url,
                report=said.append,
            )
        assert any("has no apt-get" in line for line in said)
    finally:
        ask(url, "DELETE", "images/aioelasticluster-tests-bare?force=true")


async def test_a_node_of_an_image_that_was_a_node_is_one_of_its_own(
    url: str, tmp_path: Path
) -> None:
    """It has its own login, user-data and host keys; no other is ever believed."""

    def cluster(image: str, login: str) -> Cluster:
        provider = provider_for(url, image=image)
        made = cluster_on(provider, tmp_path, host_keys="cloud")
        config = f"#cloud-config\nbootcmd: [echo of {login} >/etc/seeded]\n"
        made.add_node(
            "compute", "image", login, "small", "default", image_userdata=config
        )
        return made

    look = "cat /etc/ssh/ssh_host_ed25519_key.pub; cat /etc/seeded"
    async with cluster(TAG, "first") as first:
        await first.start()
        (before,) = (await first.run(look)).values()
        repository, tag = MADE.split(":")
        (node,) = first.get_all_nodes()
        where = f"container={node.instance_id}&repo={repository}&tag={tag}"
        ask(url, "POST", f"commit?{where}")
    async with cluster(MADE, "second") as second:
        await second.start()
        (after,) = (await second.run(look)).values()
    assert after.stdout.splitlines()[1] == "of second"
    assert after.stdout.splitlines()[0] != before.stdout.splitlines()[0]


def any_certificate() -> bytes:
    """Return one of those that this machine trusts."""
    return next(Path("/etc/ssl/certs").glob("*.pem")).read_bytes()


@pytest.mark.soak
@pytest.mark.timeout(600, func_only=True)
@pytest.mark.parametrize("engine", ["docker", "podman"], indirect=True)
async def test_an_image_made_from_another_one_serves(url: str, tmp_path: Path) -> None:
    """With a package more, from the outside; the authorities are in it."""
    certificate = any_certificate()
    made = await build_image(
        ImageRecipe(base=TAG, packages=("tree",), authorities={"own.crt": certificate}),
        tag=MADE,
        docker_host=url,
    )
    assert made.built
    cluster = cluster_on(provider_for(url, image=MADE), tmp_path, compute=1)
    async with cluster:
        await cluster.start()
        look = "tree --version; ls /usr/local/share/ca-certificates"
        (said,) = (await cluster.run(look)).values()
    assert "tree v" in said.stdout
    assert "own.crt" in said.stdout


@pytest.mark.soak
@pytest.mark.timeout(600, func_only=True)
async def test_a_package_that_does_not_exist_is_named(
    engine: RunningEngine, tmp_path: Path
) -> None:
    wanted = ImageRecipe(base=None, packages=("no-such-package",))
    with pytest.raises(ImageBuildError, match="no-such-package"):
        await build_image(
            wanted, tag=MADE, docker_host=engine.url, cache=tmp_path / "cache"
        )
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.soak
@pytest.mark.timeout(600, func_only=True)
async def test_an_image_with_cloud_init_has_user_data_applied_by_it(
    url: str, tmp_path: Path
) -> None:
    await build_image(
        ImageRecipe(base=TAG, packages=("cloud-init",)), tag=MADE, docker_host=url
    )
    cluster = cluster_on(provider_for(url, image=MADE), tmp_path)
    cluster.add_node(
        "frontend",
        "image",
        "somebody",
        "small",
        "default",
        image_userdata=USER_DATA,
    )
    async with cluster:
        await cluster.start()
        done = "cloud-init status --wait >/dev/null"
        look = f"{done}; id -un; cat /etc/timezone; ls /etc/done"
        (said,) = (await cluster.run(look)).values()
    assert said.stdout.split() == ["somebody", "Europe/Berlin", "/etc/done"]
