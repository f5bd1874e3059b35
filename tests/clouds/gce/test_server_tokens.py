"""Who may ask the test server what, and for how long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import jwt
import pytest
from gcloud.aio.auth import Token
from google.auth import identity_pool
from google.auth.transport.requests import Request as Transport
from google.oauth2 import credentials as users

from tests.clouds.gce.accounts import FIRST, GrantError, Tokens
from tests.clouds.gce.client import Api, RefusedError
from tests.clouds.gce.refusals import RefusalError

SCOPES = ["https://www.googleapis.com/auth/compute"]


def with_token(api: Api, token: str) -> Api:
    return Api(api.endpoint, api.project, token)


def refused(api: Api, path: str = "zones") -> tuple[int, str]:
    """Ask for something that has to be refused; return status and reason."""
    with pytest.raises(RefusedError) as no:
        api.ask("GET", path)
    return no.value.status, no.value.reason


@pytest.mark.parametrize("name", ["first", "first_user"])
async def test_the_async_token_client_gets_tokens(
    api: Api, tmp_path: Path, name: str
) -> None:
    files = api.endpoint.write_credentials(tmp_path)
    async with Token(service_file=str(getattr(files, name)), scopes=SCOPES) as token:
        text = await token.get()
        assert await token.get() == text

    assert with_token(api, str(text)).ask("GET", "zones")["items"]
    assert len(api.endpoint.requests("token")) == 1


def test_googles_own_client_refreshes_a_users_token(api: Api) -> None:
    user = api.endpoint.credentials()["first-user"]
    names = ("refresh_token", "token_uri", "client_id", "client_secret")
    known: Any = users.Credentials(None, **{name: user[name] for name in names})  # type: ignore[no-untyped-call]
    known.refresh(Transport())

    assert with_token(api, known.token).ask("GET", "zones")["items"]


@pytest.mark.parametrize("name", ["first-external", "first-external-acting"])
def test_googles_own_client_exchanges_somebody_elses_token(api: Api, name: str) -> None:
    told = api.endpoint.credentials()[name]
    known: Any = identity_pool.Credentials.from_info(told, scopes=SCOPES)  # type: ignore[no-untyped-call]
    known.refresh(Transport())

    assert with_token(api, known.token).ask("GET", "zones")["items"]


def test_a_token_that_only_gets_others_is_good_for_nothing_else(api: Api) -> None:
    told = api.endpoint.credentials()["first-external"]
    iam = ["https://www.googleapis.com/auth/iam"]
    known: Any = identity_pool.Credentials.from_info(told, scopes=iam)  # type: ignore[no-untyped-call]
    known.refresh(Transport())

    assert refused(with_token(api, known.token)) == (401, "authError")


def test_tokens_can_be_taken_back(api: Api) -> None:
    mine = Api.of(api.endpoint)
    assert mine.ask("GET", "zones")["items"]
    api.endpoint.revoke_tokens()
    assert refused(mine) == (401, "authError")
    assert Api.of(api.endpoint).ask("GET", "zones")["items"]


def test_credentials_are_for_us_alone(api: Api, tmp_path: Path) -> None:
    files = api.endpoint.write_credentials(tmp_path)

    assert files.first.stat().st_mode & 0o777 == 0o600


def test_without_a_token_or_with_a_wrong_one_nothing_is_told(api: Api) -> None:
    assert refused(with_token(api, "")) == (401, "required")
    assert refused(with_token(api, "wrong")) == (401, "authError")
    assert refused(with_token(api, "a.b.c")) == (401, "authError")


def test_a_token_expires(api: Api) -> None:
    now = 1000.0
    tokens = Tokens(lambda: now, "http://x/token", "http://x/")
    given = tokens.made(FIRST, 60.0)["access_token"]
    now += 59.0
    assert tokens.holder(f"Bearer {given}") is FIRST
    now += 1.0
    with pytest.raises(RefusalError):
        tokens.holder(f"Bearer {given}")
    api.endpoint.behave(token_seconds=0.0)

    assert refused(Api.of(api.endpoint)) == (401, "authError")
    assert api.ask("GET", "zones")["items"]


def test_projects_do_not_see_each_other(api: Api) -> None:
    other = Api.of(api.endpoint, "other")
    api.launch("a")
    assert other.names() == []
    other.launch("a")
    found = {one["project"] for one in api.endpoint.instances()}
    assert found == {"first-project", "other-project"}
    strange = Api(api.endpoint, other.project, api.token)
    assert refused(strange, "aggregated/instances") == (403, "forbidden")
    assert refused(Api(api.endpoint, "none-1234", api.token)) == (403, "forbidden")
    by_number = Api(api.endpoint, "100000000001", api.token)
    assert by_number.names() == ["a"]


def test_public_images_are_for_everybody(api: Api) -> None:
    path = "projects/debian-cloud/global/images/family/debian-12"
    assert api.ask_root("GET", path)["family"] == "debian-12"
    with pytest.raises(RefusedError, match="permission"):
        api.ask_root("GET", "projects/debian-cloud/global/networks")


# -- assertions that are not right


def assertion(api: Api, key: str = "", **changes: Any) -> str:
    account = api.endpoint.credentials()["first"]
    now = int(time.time())
    claims = {
        "iss": account["client_email"],
        "scope": SCOPES[0],
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
    }
    private = key or account["private_key"]
    return jwt.encode(claims | changes, private, algorithm="RS256")


def granted(api: Api, form: dict[str, str]) -> str:
    """Ask for a token; return it, or OAuth's error."""
    data = urlencode(form).encode()
    try:
        with urlopen(f"{api.endpoint.url}/token", data) as answer:
            return str(json.load(answer)["access_token"])
    except HTTPError as fault:
        with fault:
            return str(json.load(fault)["error"])


def bearer(text: str) -> dict[str, str]:
    kind = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    return {"grant_type": kind, "assertion": text}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, "ya29."),
        ({"aud": "https://oauth2.googleapis.com/token"}, "ya29."),
        ({"aud": "https://example.org/token"}, "invalid_grant"),
        ({"iss": "nobody@example.org"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"exp": int(time.time()) - 1000}, "invalid_grant"),
        ({"exp": int(time.time()) + 7200}, "invalid_grant"),
        ({"iat": int(time.time()) + 1000}, "invalid_grant"),
    ],
)
def test_an_assertion_has_to_be_right(
    api: Api, changes: dict[str, Any], error: str
) -> None:
    assert granted(api, bearer(assertion(api, **changes))).startswith(error)


def test_an_assertion_has_to_be_signed_with_the_accounts_key(api: Api) -> None:
    foreign = api.endpoint.credentials()["other"]["private_key"]
    unsigned = jwt.encode({"iss": api.endpoint.account}, "", algorithm="none")

    assert granted(api, bearer(assertion(api, foreign))) == "invalid_grant"
    assert granted(api, bearer(unsigned)) == "invalid_grant"
    assert granted(api, bearer("garbage")) == "invalid_grant"


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ("refresh_token", "invalid_grant"),
        ("client_secret", "invalid_client"),
        ("client_id", "invalid_client"),
        ("grant_type", "unsupported_grant_type"),
    ],
)
def test_a_refresh_has_to_be_right(api: Api, part: str, error: str) -> None:
    user = api.endpoint.credentials()["first-user"]
    names = ("client_id", "client_secret", "refresh_token")
    form = {"grant_type": "refresh_token", **{name: user[name] for name in names}}

    assert granted(api, form | {part: "wrong"}) == error


def test_a_self_signed_token_is_good_for_this_service(api: Api) -> None:
    """Google's clients send such ones where they need no scopes."""
    mine = assertion(api, aud=f"{api.endpoint.url}/", scope="")
    other = assertion(api, aud="https://storage.googleapis.com/", scope="")

    assert with_token(api, mine).ask("GET", "zones")["items"]
    assert refused(with_token(api, other)) == (401, "authError")


def test_tokens_know_nobody_at_first() -> None:
    tokens = Tokens(lambda: 0.0, "http://x/token", "http://x/")
    with pytest.raises(GrantError):
        tokens.granted({}, 1.0)
    with pytest.raises(RefusalError):
        tokens.holder("Bearer x")


# -- the metadata server


def test_the_metadata_server_wants_its_header(api: Api) -> None:
    path = "instance/service-accounts/default/token"
    url = f"{api.endpoint.url}/computeMetadata/v1/{path}"
    with pytest.raises(HTTPError) as no:
        urlopen(url)
    no.value.close()
    assert no.value.code == 403
    with urlopen(Request(url, headers={"Metadata-Flavor": "Google"})) as answer:
        token = json.load(answer)["access_token"]
        assert answer.headers["Metadata-Flavor"] == "Google"

    assert with_token(api, token).ask("GET", "zones")["items"]


_ON_A_MACHINE = """
import asyncio, sys
import google.auth, google.auth.transport.requests
from gcloud.aio.auth import Token
credentials, project = google.auth.default(
    scopes=["https://www.googleapis.com/auth/compute"]
)
credentials.refresh(google.auth.transport.requests.Request())

async def asynchronously():
    async with Token(scopes=["https://www.googleapis.com/auth/compute"]) as token:
        return await token.get(), await token.get_project()

token, its_project = asyncio.run(asynchronously())
print(credentials.token, project, token, its_project)
"""


def test_a_machine_gets_its_credentials_from_the_metadata_server(
    api: Api, tmp_path: Path
) -> None:
    host = api.endpoint.metadata_host
    found = subprocess.run(
        [sys.executable, "-c", _ON_A_MACHINE],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_ROOT": host,
            "GCE_METADATA_IP": host,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    token, project, other_token, other_project = found.stdout.split()

    assert project == other_project == api.project
    for text in (token, other_token):
        assert with_token(api, text).ask("GET", "zones")["items"]
