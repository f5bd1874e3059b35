"""Others' servers of EC2's API, beside our own: moto, and ministack.

Neither knows what ours was written to prove (tokens, parts of orders, pages, time), but
neither was written by us. What they get wrong is said where a test meets it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import IO

from aioelasticluster.providers.ec2 import BotoCloudProvider
from tests.required import kept, skip_unless_wanted

#: The one image that moto is started with: its own 1,300 make it slow.
MOTO_IMAGE = "ami-12c6146b"
MOTO_IMAGE_NAME, MOTO_IMAGE_OWNER = "debian-12-amd64", "136693071363"

#: An image that ministack brings along.
MINISTACK_IMAGE = "ami-0123456789abcdef0"

#: What keeps two looks a second apart, which these servers need not be spared.
POLLING = "aioelasticluster.providers.ec2.provider.POLL_INTERVAL"

MINISTACK = "ministack==1.5.33"

#: How long (seconds) a server may take to start, and to stop.
STARTING, STOPPING = 60.0, 10.0

#: How long (seconds) ministack's environment may take to be made.
INSTALLING = 300.0

_ANNOUNCED = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")

_IMAGES = [
    {
        "ami_id": MOTO_IMAGE,
        "name": MOTO_IMAGE_NAME,
        "description": "-",
        "owner_id": MOTO_IMAGE_OWNER,
        "public": True,
        "virtualization_type": "hvm",
        "architecture": "x86_64",
        "state": "available",
        "platform": None,
        "image_type": "machine",
        "hypervisor": "xen",
        "root_device_name": "/dev/xvda",
        "root_device_type": "ebs",
        "sriov": "simple",
    }
]


class MotoProvider(BotoCloudProvider):
    """As moto needs it.

    It launches the least number that is asked for, knows nothing of tokens, and shows
    the same text on every console.
    """

    adapter = "ec2-on-moto"
    capabilities = replace(
        BotoCloudProvider.capabilities, tokens=False, cloud_host_keys=False
    )
    fills_in_part = False
    settle_window = 0.2
    poll_pauses = (0.05, 0.1)
    end_pauses = (0.05, 0.1)


class MinistackProvider(MotoProvider):
    """As ministack needs it: like moto's, and it has no console at all."""

    adapter = "ec2-on-ministack"


class CannotInstallError(Exception):
    """There is no ministack here, for the reason that is given."""


@contextmanager
def running_moto(**settings: str) -> Iterator[str]:
    """Run a moto of our own on a free port; give its URL.

    Images, key pairs and types of instances that it does not have are refused, unless
    `settings` (environment variables) say otherwise.
    """
    with TemporaryDirectory(prefix="aioec-moto-") as folder:
        images = Path(folder, "images.json")
        images.write_text(json.dumps(_IMAGES))
        environment = {
            "MOTO_AMIS_PATH": str(images),
            "MOTO_ENABLE_AMI_VALIDATION": "true",
            "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
            "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
            **settings,
        }
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        with _serving(command, environment, folder) as url:
            yield url


@contextmanager
def running_ministack() -> Iterator[str]:
    """Run a ministack of our own on a free port; give its URL.

    Raises `CannotInstallError`. The command `ministack` would not tell which port is
    free; run by its server's name it does, and leaves its other listeners closed.
    """
    python = ministack_python()
    with TemporaryDirectory(prefix="aioec-ministack-") as folder:
        environment = {
            "BIND_HOST": "127.0.0.1",
            "DOCKER_HOST": f"unix://{folder}/no-containers",
            "IOT_MTLS_ENABLED": "0",
            "S3_DATA_DIR": f"{folder}/s3",
            "SERVICES": "ec2,sts",
            "SFTP_ENABLED": "0",
            "STATE_DIR": f"{folder}/state",
        }
        command = [str(python), "-m", "hypercorn", "ministack.app:app"]
        command += ["--bind", "127.0.0.1:0", "--workers", "0"]
        with _serving(command, environment, folder) as url:
            yield url


def forget_moto(url: str) -> None:
    """Have a moto forget everything."""
    request = urllib.request.Request(f"{url}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request, timeout=STARTING) as answer:
        answer.read()


# A server's process


@contextmanager
def _serving(
    command: Sequence[str], environment: Mapping[str, str], folder: str
) -> Iterator[str]:
    """Run a server until the block ends; give the URL that it says it serves at."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": folder,
            "TMPDIR": folder,
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    announced: Future[str] = Future()
    reader = Thread(target=_read, args=(process.stdout, announced))
    reader.start()
    try:
        yield announced.result(STARTING)
    finally:
        _end(process)
        reader.join()


def _read(output: IO[str], announced: Future[str]) -> None:
    """Read all that a server says, lest it wait; note where it serves."""
    said: deque[str] = deque(maxlen=20)
    with output:
        for line in output:
            said.append(line)
            if not announced.done() and (found := _ANNOUNCED.search(line)):
                announced.set_result(found[1])
    if not announced.done():
        announced.set_exception(RuntimeError(f"did not start: {''.join(said)}"))


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOPPING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ministack wants another botocore than we do


def ministack_python() -> Path:
    """Return the interpreter of ministack's environment, which is made once.

    Raises `CannotInstallError`.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        folder = kept() / f"{MINISTACK.replace('==', '-')}-python{version}"
        if not (folder / "complete").exists():
            skip_unless_wanted("ministack", "ministack (90 MB)")
        folder.parent.mkdir(parents=True, exist_ok=True)
        return _installed(folder)
    except (OSError, subprocess.SubprocessError) as fault:
        said = getattr(fault, "stdout", None) or str(fault)
        raise CannotInstallError(f"cannot install {MINISTACK}: {said}") from fault


def _installed(folder: Path) -> Path:
    """Make the environment unless it is complete; only one process does."""
    python, complete = folder / "bin" / "python", folder / "complete"
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(folder))
            quietly = ("--quiet", "--disable-pip-version-check")
            _run(str(python), "-m", "pip", "install", *quietly, MINISTACK)
            complete.touch()
    return python


def _run(*command: str) -> None:
    subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALLING,
    )
