"""What the SDK is told about the cloud."""

from __future__ import annotations

from aioelasticluster.providers.openstack.target import Target

URL = "http://127.0.0.1:1/v3"


def test_a_name_alone_is_looked_up_in_clouds_yaml() -> None:
    assert Target(cloud="devstack").configuration() == {"cloud": "devstack"}


def test_what_is_complete_asks_neither_files_nor_environment() -> None:
    told = Target(
        auth_url=URL, username="demo", password="x", project_name="demo"
    ).configuration()
    assert told["auth"] == {
        "auth_url": URL,
        "username": "demo",
        "password": "x",
        "project_name": "demo",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }
    assert told["load_envvars"] is told["load_yaml_config"] is False


def test_what_lacks_a_secret_takes_it_from_the_environment() -> None:
    told = Target(auth_url=URL, username="demo", project_name="demo").configuration()
    assert "load_envvars" not in told
    assert told["auth"]["username"] == "demo"


def test_an_application_credential_needs_no_project() -> None:
    told = Target(
        auth_url=URL,
        application_credential_id="1",
        application_credential_secret="x",
    ).configuration()
    assert told["auth_type"] == "v3applicationcredential"
    assert set(told["auth"]) == {
        "auth_url",
        "application_credential_id",
        "application_credential_secret",
    }


def test_another_endpoint_stands_in_for_the_catalogues() -> None:
    told = Target(cloud="x", compute_endpoint="http://127.0.0.1:2").configuration()
    assert told["compute_endpoint_override"] == "http://127.0.0.1:2"
