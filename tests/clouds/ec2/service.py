"""The service models that requests and replies are held against: botocore's own."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationNotFoundError, ServiceModel

from tests.clouds.ec2.refusals import RefusalError

#: The version of each service's API, by its name.
VERSIONS = {"ec2": "2016-11-15", "sts": "2011-06-15"}


@cache
def model(service: str) -> Any:
    """Return the model of a service."""
    return ServiceModel(Loader().load_service_model(service, "service-2"))


def operation(service: str, action: str) -> Any:
    """Return an operation's model; refuse one that the service does not know."""
    try:
        return model(service).operation_model(action)
    except OperationNotFoundError as fault:
        raise RefusalError(
            "InvalidAction", f"The action {action} is not valid for this web service."
        ) from fault
