"""What becomes of instances: listed, terminated, stopped, started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.instances import STATES, Instance, occupying
from tests.clouds.ec2.launching import no_capacity, room_for
from tests.clouds.ec2.refusals import RefusalError
from tests.clouds.ec2.rendering import (
    private_name,
    public_name,
    reservations,
    state,
)
from tests.clouds.ec2.selecting import Fact, ids_or_page, page, selected
from tests.clouds.ec2.writing import moment


@action("DescribeInstances", "Filters", "InstanceIds", "MaxResults", "NextToken")
def describe_instances(call: Call) -> Reply:
    """List instances; one unknown id refuses all."""
    found = chosen(call)
    shown, following = page(call, found, lambda one: one.serial)
    return {"Reservations": reservations(call, shown), "NextToken": following}


def chosen(call: Call) -> list[Instance]:
    """Return the instances that a call names or filters, oldest first."""
    ids_or_page(call, "InstanceIds")
    account, ids = call.account, call.get("InstanceIds")
    found = account.listed(call.behaviour)
    if ids:
        found = account.named(ids, call.behaviour)

    def tags(one: Instance) -> Mapping[str, str]:
        return account.tags.get(one.id, {})

    fitting = selected(call, found, _facts(call), tags)
    return sorted(fitting, key=lambda one: one.serial)


def _facts(call: Call) -> dict[str, Fact[Instance]]:
    now = call.now

    def here(read: Callable[[Instance], str]) -> Fact[Instance]:
        """Look at what an instance loses when it is terminated."""
        return lambda one: read(one) if one.state(now) != "terminated" else ()

    return {
        "availability-zone": lambda one: one.plan.subnet.zone,
        "client-token": lambda one: one.plan.token,
        "image-id": lambda one: one.plan.image.id,
        "instance-id": lambda one: one.id,
        "instance-lifecycle": lambda one: "spot" if one.plan.spot else (),
        "instance-state-code": lambda one: str(STATES[one.state(now)]),
        "instance-state-name": lambda one: one.state(now),
        "instance-type": lambda one: one.plan.flavor.name,
        "instance.group-id": _group_ids,
        "ip-address": here(lambda one: one.public_address(now)),
        "key-name": lambda one: one.plan.key_name,
        "launch-time": lambda one: moment(one.launched_at),
        "placement-group-name": lambda one: one.plan.placement_group,
        "private-ip-address": here(lambda one: one.address),
        "private-dns-name": here(lambda one: private_name(one.address)),
        "dns-name": here(lambda one: public_name(one.public_address(now))),
        "reservation-id": lambda one: one.reservation.id,
        "spot-instance-request-id": lambda one: one.spot_request,
        "subnet-id": here(lambda one: one.plan.subnet.id),
        "vpc-id": here(lambda one: one.plan.subnet.vpc_id),
    }


def _group_ids(one: Instance) -> Sequence[str]:
    return [group.id for group in one.plan.groups]


@action("TerminateInstances", "InstanceIds")
def terminate_instances(call: Call) -> Reply:
    """Terminate instances, all or none; those that ended already are success."""
    named = call.account.named(call.get("InstanceIds"), call.behaviour)
    for one in named:
        if one.plan.protected:
            raise RefusalError(
                "OperationNotPermitted",
                f"The instance '{one.id}' may not be terminated. Modify its "
                "'disableApiTermination' instance attribute and try again.",
            )
    return {"TerminatingInstances": _moved(call, named, _terminate)}


@action("StopInstances", "Force", "InstanceIds")
def stop_instances(call: Call) -> Reply:
    """Stop running instances, all or none; those that are stopped stay so."""
    named = call.account.named(call.get("InstanceIds"), call.behaviour)
    for one in named:
        if one.plan.spot:
            raise RefusalError(
                "UnsupportedOperation",
                "You can't stop the Spot Instance "
                f"'{one.id}' because it is associated with a one-time request.",
            )
        _check_state(call, one, "running", "stopping", "stopped")
    return {"StoppingInstances": _moved(call, named, _stop)}


@action("StartInstances", "InstanceIds")
def start_instances(call: Call) -> Reply:
    """Start stopped instances, all or none; those that run stay so."""
    named = call.account.named(call.get("InstanceIds"), call.behaviour)
    for one in named:
        _check_state(call, one, "stopped", "pending", "running")
    starting = [one for one in named if one.state(call.now) == "stopped"]
    _check_room(call, starting)
    return {"StartingInstances": _moved(call, named, _start)}


def _check_state(call: Call, one: Instance, *fits: str) -> None:
    if one.state(call.now) not in fits:
        raise RefusalError(
            "IncorrectInstanceState",
            f"The instance '{one.id}' is not in a state from which it can be "
            f"{'started' if fits[0] == 'stopped' else 'stopped'}.",
        )


def _check_room(call: Call, starting: Sequence[Instance]) -> None:
    """Refuse to start what does not fit any more."""
    taken = len(occupying(call.account.instances.values(), call.now))
    if starting and taken + len(starting) > call.behaviour.quota:
        raise RefusalError(
            "InstanceLimitExceeded",
            f"Your quota allows for {call.behaviour.quota} instances.",
        )
    for one in starting:
        zone, flavor = one.plan.subnet.zone, one.plan.flavor
        if room_for(call.cloud, zone, flavor, call.now) < len(starting):
            raise no_capacity(flavor, zone)


def _moved(
    call: Call, named: Sequence[Instance], move: Callable[[Call, Instance], Any]
) -> list[Reply]:
    """Move instances to other states and return the changes."""
    call.permitted()
    if call.behaviour.throttle:
        call.account.buckets.take_resources(call.action, len(named))
    return [_change(call, one, move) for one in named]


def _change(call: Call, one: Instance, move: Callable[[Call, Instance], Any]) -> Reply:
    before = one.state(call.now)
    move(call, one)
    call.cloud.changed(one)
    return {
        "InstanceId": one.id,
        "PreviousState": state(before),
        "CurrentState": state(one.state(call.now)),
    }


def _terminate(call: Call, one: Instance) -> None:
    one.terminates(call.now, call.behaviour)
    for elastic in call.account.elastics.values():
        if elastic.instance is one:
            elastic.leaves()


def _stop(call: Call, one: Instance) -> None:
    if one.state(call.now) == "running":
        one.stops(call.now, call.behaviour)


def _start(call: Call, one: Instance) -> None:
    if one.state(call.now) == "stopped":
        one.boots(call.now, call.behaviour, call.cloud.fate.of_boot())
