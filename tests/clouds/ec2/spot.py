"""Spot requests: one for each instance, fulfilled at once as far as there is room."""

from __future__ import annotations

from tests.clouds.ec2.account import SpotRequest, new_id
from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.launching import (
    launched,
    remember,
    replayed,
    spot_price,
)
from tests.clouds.ec2.ordering import Order, asked_zone, flavor_of, planned
from tests.clouds.ec2.refusals import RefusalError, not_found
from tests.clouds.ec2.rendering import groups
from tests.clouds.ec2.selecting import Fact, page, selected
from tests.clouds.ec2.tagging import of_reply, specified

_OUTCOMES = {
    "Client.UserInitiatedShutdown": "instance-terminated-by-user",
    "Server.SpotInstanceTermination": "instance-terminated-no-capacity",
}


@action(
    "RequestSpotInstances",
    *("ClientToken", "InstanceCount", "InstanceInterruptionBehavior"),
    *("LaunchSpecification", "SpotPrice", "TagSpecifications", "Type"),
)
def request_spot_instances(call: Call) -> Reply:
    """Launch what fits now; the other requests stay open."""
    order: Order = call.get("LaunchSpecification", {})
    zone = asked_zone(order, call.account)
    before = replayed(call, zone)
    made = before.result if before else _requested(call, order)
    if before is None:
        remember(call, zone, made)
    return {"SpotInstanceRequests": [_shown(call, one) for one in made]}


def _requested(call: Call, order: Order) -> list[SpotRequest]:
    if call.get("Type", "one-time") != "one-time":
        raise RefusalError(
            "UnsupportedOperation", "Only one-time spot requests are supported here"
        )
    count = call.get("InstanceCount", 1)
    tags = specified(call, "spot-instances-request")
    price = spot_price(call.get("SpotPrice"), flavor_of(order))
    requests = call.account.spot_requests
    before = set(requests)
    try:
        launched(call, order, (1, count), tags, price=price)
    except RefusalError as refusal:
        if refusal.code != "InsufficientInstanceCapacity":
            raise
        call.permitted()
    made = [one for one in requests.values() if one.id not in before]
    subnet = next(iter(call.account.subnets.values()))
    while len(made) < count:
        plan = planned(order, call.account, subnet, spot=True)
        waiting = SpotRequest(new_id("sir"), None, call.now, price, plan)
        requests[waiting.id] = waiting
        call.account.tags[waiting.id] = dict(tags.get("spot-instances-request", {}))
        made.append(waiting)
    return made


@action(
    "DescribeSpotInstanceRequests",
    *("Filters", "MaxResults", "NextToken", "SpotInstanceRequestIds"),
)
def describe_spot_instance_requests(call: Call) -> Reply:
    """List spot requests; one unknown id refuses all."""
    facts: dict[str, Fact[Reply]] = {
        "instance-id": lambda one: one.get("InstanceId") or (),
        "spot-instance-request-id": lambda one: one["SpotInstanceRequestId"],
        "state": lambda one: one["State"],
        "status-code": lambda one: one["Status"]["Code"],
    }
    named = _named(call) or call.account.spot_requests.values()
    shown = [_shown(call, one) for one in named]
    found, following = page(call, selected(call, shown, facts, of_reply))
    return {"SpotInstanceRequests": list(found), "NextToken": following}


def _named(call: Call) -> list[SpotRequest]:
    known = call.account.spot_requests
    ids = call.get("SpotInstanceRequestIds", ())
    if missing := [given for given in ids if given not in known]:
        raise not_found(
            "InvalidSpotInstanceRequestID.NotFound", "spot instance request", missing
        )
    return [known[given] for given in ids]


@action("CancelSpotInstanceRequests", "SpotInstanceRequestIds")
def cancel_spot_instance_requests(call: Call) -> Reply:
    """Cancel requests; their instances run on."""
    named = _named(call)
    call.permitted()
    for one in named:
        one.cancelled = True
    return {
        "CancelledSpotInstanceRequests": [
            {"SpotInstanceRequestId": one.id, "State": "cancelled"} for one in named
        ]
    }


def _standing(request: SpotRequest, now: float) -> tuple[str, str]:
    """Return a request's state and the code of its status."""
    instance = request.instance
    if instance is None:
        if request.cancelled:
            return "cancelled", "canceled-before-fulfillment"
        return "open", "capacity-not-available"
    phase = instance.phase(now)
    if phase.state in ("shutting-down", "terminated"):
        return "closed", _OUTCOMES.get(phase.reason, "system-error")
    if request.cancelled:
        return "cancelled", "request-canceled-and-instance-running"
    return "active", "fulfilled"


def _shown(call: Call, request: SpotRequest) -> Reply:
    state, code = _standing(request, call.now)
    plan, instance = request.plan, request.instance
    return {
        "CreateTime": request.created,
        "InstanceId": instance.id if instance else None,
        "InstanceInterruptionBehavior": "terminate",
        "LaunchSpecification": {
            "ImageId": plan.image.id,
            "InstanceType": plan.flavor.name,
            "KeyName": plan.key_name or None,
            "SecurityGroups": groups(plan),
        },
        "LaunchedAvailabilityZone": plan.subnet.zone if instance else None,
        "ProductDescription": "Linux/UNIX",
        "SpotInstanceRequestId": request.id,
        "SpotPrice": request.price,
        "State": state,
        "Status": {"Code": code, "Message": code.replace("-", " ")},
        "Tags": call.account.tag_list(request.id),
        "Type": "one-time",
    }
