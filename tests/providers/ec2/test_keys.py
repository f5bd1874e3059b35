"""Keys as EC2 fingerprints them, against OpenSSH and OpenSSL's own words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh
import pytest

from aioelasticluster.model.user_data import (
    PRIVATE_KEY,
    PUBLIC_KEY,
    cloud_config,
    longest_merged,
    merged,
)
from aioelasticluster.providers.ec2.keys import fingerprints
from aioelasticluster.providers.host_keys import host_keys_in
from aioelasticluster.ssh.host_keys import generate_host_key


def test_an_ed25519_key_has_the_fingerprint_that_ssh_keygen_prints(
    tmp_path: Path,
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (tmp_path / "key.pub").write_text(key)
    said = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "key.pub"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split()[1] in fingerprints(key)


def test_an_rsa_key_has_the_md5_of_its_der_form() -> None:
    # The key of RFC 8017's style of examples is made here; EC2's rule is
    # `openssl rsa -pubin -outform DER | openssl md5 -c`.
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    der = key.export_public_key("pkcs8-der")
    import hashlib

    digest = hashlib.md5(der, usedforsecurity=False).hexdigest()
    pairs = [digest[i : i + 2] for i in range(0, 32, 2)]
    assert ":".join(pairs) in fingerprints(key.export_public_key().decode())


def test_our_host_keys_are_no_longer_than_reckoned_with() -> None:
    key = generate_host_key()
    assert len(key.private_openssh) <= PRIVATE_KEY
    assert len(key.public) <= PUBLIC_KEY
    script = "#!/bin/sh\necho hello\n"
    ours = cloud_config(key.private_openssh, key.public)
    assert len(merged(ours, script)) <= longest_merged(script)
    assert len(ours) <= longest_merged("")


CONSOLE = """
[    0.1] booting
-----BEGIN SSH HOST KEY KEYS-----
ssh-ed25519 {old} root@old
-----END SSH HOST KEY KEYS-----
ci-info: no news
-----BEGIN SSH HOST KEY KEYS-----
ecdsa-sha2-nistp256 {ecdsa} root@host
[   12.0] cloud-init[501]: ssh-ed25519 {new} root@host
-----END SSH HOST KEY KEYS-----
login:
"""


def test_the_console_shows_the_keys_of_the_latest_boot() -> None:
    old, ecdsa, new = (letter * 68 for letter in "ABC")
    shown = host_keys_in(CONSOLE.format(old=old, ecdsa=ecdsa, new=new))
    assert shown == (f"ecdsa-sha2-nistp256 {ecdsa}", f"ssh-ed25519 {new}")


@pytest.mark.parametrize("console", ["", "-----BEGIN SSH HOST KEY KEYS-----\nssh-"])
def test_a_console_that_is_not_there_yet_shows_none(console: str) -> None:
    assert host_keys_in(console) == ()
