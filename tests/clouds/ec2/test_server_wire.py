"""What goes over the wire: parameters held against the model, and signatures."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from tests.clouds.ec2.client import Api, client, refusal
from tests.clouds.ec2.running import Ec2Endpoint

_VERSION = {"Version": "2016-11-15"}


def sent(
    endpoint: Ec2Endpoint,
    form: Mapping[str, str],
    *,
    method: str = "POST",
    service: str = "ec2",
    region: str = "us-east-1",
    spoilt: bool = False,
) -> tuple[int, str]:
    """Send a signed form as it is; return the status and the code of the refusal."""
    text = urlencode({**_VERSION, **form})
    url = f"{endpoint.url}/" if method == "POST" else f"{endpoint.url}/?{text}"
    body = text.encode() if method == "POST" else b""
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = AWSRequest(method, url, dict(kind), body)
    secret = Credentials(endpoint.access_key, endpoint.secret_key)
    SigV4Auth(secret, service, region).add_auth(request)
    if spoilt:
        request.data = body + b"&DryRun=true"
    answer = URLLib3Session(proxies={}).send(request.prepare())
    found = re.search("<Code>(.*?)</Code>", answer.text)
    return answer.status_code, found[1] if found else ""


def test_a_plain_form_is_understood(ec2: Ec2Endpoint) -> None:
    assert sent(ec2, {"Action": "DescribeInstances", "MaxResults": "5"}) == (200, "")
    query = {"Action": "DescribeInstances", "Filter.1.Name": "tag:a b/~"}
    query["Filter.1.Value.1"] = "ü*"
    assert sent(ec2, query, method="GET") == (200, "")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"Action": "DescribeInstances", "InstanceIds.1": "i-1"}, "UnknownParameter"),
        ({"Action": "DescribeInstances", "InstanceId": "i-1"}, "UnknownParameter"),
        ({"Action": "DescribeInstances", "InstanceId.x": "i-1"}, "UnknownParameter"),
        ({"Action": "DescribeInstances", "InstanceId.1.A": "1"}, "UnknownParameter"),
        ({"Action": "DescribeInstances", "maxResults": "5"}, "UnknownParameter"),
        ({"Action": "DescribeInstances", "MaxResults": "x"}, "InvalidParameterValue"),
        ({"Action": "DescribeInstances", "DryRun": "yes"}, "InvalidParameterValue"),
        (
            {"Action": "DescribeInstanceTypes", "MaxResults": "4"},
            "InvalidParameterValue",
        ),
        ({"Action": "TerminateInstances"}, "MissingParameter"),
        ({"Action": "RunInstances", "MinCount": "1"}, "MissingParameter"),
        (
            {
                "Action": "CreatePlacementGroup",
                "GroupName": "a",
                "Strategy": "nearby",
            },
            "InvalidParameterValue",
        ),
        (
            {"Action": "ImportKeyPair", "KeyName": "a", "PublicKeyMaterial": "%"},
            "InvalidParameterValue",
        ),
        ({"Action": "DescribeEverything"}, "InvalidAction"),
        ({"Action": "CreateFleet"}, "MissingParameter"),
        ({"Action": "DescribeNatGateways"}, "UnsupportedOperation"),
        (
            {"Action": "DescribeInstances", "Version": "2014-10-01"},
            "InvalidParameterValue",
        ),
        ({}, "MissingAction"),
    ],
    ids=str,
)
def test_what_the_model_does_not_know_is_refused(
    ec2: Ec2Endpoint, form: dict[str, str], code: str
) -> None:
    assert sent(ec2, form) == (400, code)


def test_a_body_that_was_not_signed_is_refused(ec2: Ec2Endpoint) -> None:
    form = {"Action": "DescribeInstances"}
    assert sent(ec2, form, spoilt=True) == (401, "AuthFailure")
    assert sent(ec2, form, region="moon-1") == (401, "AuthFailure")
    assert sent(ec2, form, service="s3") == (401, "AuthFailure")


def test_who_is_not_known_is_refused(api: Api) -> None:
    endpoint = api.endpoint
    for key, secret in (("", "wrong"), ("AKIAUNKNOWN", ""), ("", "x" * 40)):
        stranger = Api.of(endpoint, key, secret)
        assert refusal(stranger.listed) == "AuthFailure"
        stranger.ec2.close()


def test_an_old_signature_has_expired(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = datetime.fromtimestamp(time.time() - 16 * 60, UTC).replace(tzinfo=None)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: long_ago)

    assert refusal(api.listed) == "RequestExpired"


def test_a_caller_learns_who_it_is(ec2: Ec2Endpoint) -> None:
    sts = client(ec2, "sts")
    other = client(ec2, "sts", ec2.other_access_key, ec2.other_secret_key)
    wrong = client(ec2, "sts", secret="wrong")
    unknown = client(ec2, "sts", "AKIAUNKNOWN")

    assert sts.get_caller_identity()["Account"] == ec2.account
    assert other.get_caller_identity()["Account"] == ec2.other_account
    assert refusal(wrong.get_caller_identity) == "SignatureDoesNotMatch"
    assert refusal(unknown.get_caller_identity) == "InvalidClientTokenId"
    for one in (sts, other, wrong, unknown):
        one.close()


def test_text_comes_back_as_it_was(api: Api) -> None:
    text = "<&>\"' ü\n"
    tags = [{"Key": text, "Value": text}]
    (one,) = api.launch(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])

    assert one["Tags"] == tags


def test_requests_are_logged_without_secrets(api: Api) -> None:
    api.launch(2, UserData="the secret", ClientToken="t")
    refusal(api.listed, InstanceIds=["i-1"])

    (run,) = api.endpoint.requests("RunInstances")
    assert (run["status"], run["parameters"]["MaxCount"]) == (200, 2)
    assert "the secret" not in json.dumps(run)
    (listed,) = api.endpoint.requests("DescribeInstances")
    assert (listed["status"], listed["code"]) == (400, "InvalidInstanceID.Malformed")
    api.endpoint.forget_requests()
    assert api.endpoint.requests() == []
