"""A plain boto3 client for the server's own tests, and short ways to use it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clouds.ec2.running import Ec2Endpoint
from tests.clouds.endpoint import eventually

#: How long (seconds) the cloud may take to get somewhere.
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Api:
    """The API as one account sees it; nothing is ever asked again."""

    endpoint: Ec2Endpoint
    ec2: Any

    @classmethod
    def of(
        cls, endpoint: Ec2Endpoint, key: str = "", secret: str = "", **config: Any
    ) -> Api:
        """Return the API for a key, by default the first account's."""
        return cls(endpoint, client(endpoint, "ec2", key, secret, **config))

    def launch(self, least: int = 1, most: int = 0, **more: Any) -> list[Any]:
        """Launch instances and return them, in order of their index."""
        order = {
            "ImageId": self.endpoint.image_id,
            "InstanceType": self.endpoint.flavor,
            "MinCount": least,
            "MaxCount": most or least,
        }
        found: list[Any] = self.ec2.run_instances(**(order | more))["Instances"]
        return found

    def listed(self, **query: Any) -> list[Any]:
        """Return the instances that a query lists."""
        found = self.ec2.describe_instances(**query)["Reservations"]
        return [one for reservation in found for one in reservation["Instances"]]

    def state(self, instance: Any) -> str:
        """Return the state of one instance."""
        (found,) = self.listed(InstanceIds=[instance["InstanceId"]])
        return str(found["State"]["Name"])

    def becomes(self, instance: Any, state: str) -> None:
        """Wait until an instance is in a state."""
        eventually(lambda: self.state(instance) == state)

    def where(self, name: str, *values: str) -> list[Any]:
        """Return the instances that a filter lets through."""
        return self.listed(Filters=[{"Name": name, "Values": list(values)}])


def client(
    endpoint: Ec2Endpoint, service: str, key: str = "", secret: str = "", **config: Any
) -> Any:
    """Return a client that sends each request once."""
    return boto3.client(
        service,
        region_name=config.pop("region", endpoint.region),
        endpoint_url=endpoint.url,
        aws_access_key_id=key or endpoint.access_key,
        aws_secret_access_key=secret or endpoint.secret_key,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def refusal(call: Callable[..., object], **arguments: Any) -> str:
    """Make a call that has to be refused, and return the code."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])
