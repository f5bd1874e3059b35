"""RunInstances: how many fit where, once for each token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.clouds.ec2.account import Account, Replayed, SpotRequest, new_id
from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.addresses import Subnet
from tests.clouds.ec2.catalogue import Flavor, zones
from tests.clouds.ec2.cloud import Cloud
from tests.clouds.ec2.instances import Instance, LaunchPlan, Reservation, occupying
from tests.clouds.ec2.ordering import Order, asked_zone, flavor_of, planned
from tests.clouds.ec2.refusals import RefusalError, invalid
from tests.clouds.ec2.rendering import reservation
from tests.clouds.ec2.selecting import digest
from tests.clouds.ec2.tagging import specified

_LONGEST_TOKEN = 64

Tags = Mapping[str, Mapping[str, str]]


@action(
    "RunInstances",
    *("BlockDeviceMappings", "ClientToken", "DisableApiTermination", "EbsOptimized"),
    *("IamInstanceProfile", "ImageId", "InstanceInitiatedShutdownBehavior"),
    *("InstanceMarketOptions", "InstanceType", "KeyName", "MaxCount"),
    *("MetadataOptions", "MinCount", "Monitoring", "NetworkInterfaces", "Placement"),
    *("SecurityGroupIds", "SecurityGroups", "SubnetId", "TagSpecifications"),
    "UserData",
)
def run_instances(call: Call) -> Reply:
    """Launch between MinCount and MaxCount instances into one zone."""
    order = call.parameters
    zone = asked_zone(order, call.account)
    before = replayed(call, zone)
    if before is not None:
        made: Reservation = before.result
        return reservation(call, made, made.instances)
    market = order.get("InstanceMarketOptions", {})
    tags = specified(
        call, "instance", "volume", "network-interface", "spot-instances-request"
    )
    if "spot-instances-request" in tags and market.get("MarketType") != "spot":
        raise invalid("'spot-instances-request' is only for spot instances.")
    made = launched(
        call,
        order,
        (call.get("MinCount"), call.get("MaxCount")),
        tags,
        price=_price(market, flavor_of(order)),
    )
    remember(call, zone, made)
    return reservation(call, made, made.instances)


def replayed(call: Call, zone: str) -> Replayed | None:
    """Return what the same call made before; refuse a token for another one."""
    token = call.get("ClientToken", "")
    if len(token) > _LONGEST_TOKEN or not token.isascii():
        raise invalid(f"Invalid value '{token}' for clientToken: at most 64 characters")
    before = call.account.tokens.get((call.action, token, zone)) if token else None
    if before is not None and before.digest != digest(call.parameters):
        raise RefusalError(
            "IdempotentParameterMismatch",
            "The client token you have provided is associated with a resource whose "
            "parameters differ from those of this request.",
        )
    return before


def remember(call: Call, zone: str, made: object) -> None:
    """Keep what a call made for its token; a token counts in each zone by itself."""
    if token := call.get("ClientToken"):
        entry = Replayed(digest(call.parameters), made)
        call.account.tokens[call.action, token, zone] = entry


def _price(market: Mapping[str, object], flavor: Flavor) -> str:
    """Return the most that a spot instance may cost, "" for another instance."""
    if market.get("MarketType") != "spot":
        if market:
            raise invalid("Only the market type spot is supported here")
        return ""
    options = market.get("SpotOptions") or {}
    assert isinstance(options, Mapping)
    if options.get("SpotInstanceType", "one-time") != "one-time":
        raise RefusalError(
            "UnsupportedOperation", "Only one-time spot requests are supported here"
        )
    return spot_price(options.get("MaxPrice"), flavor)


def spot_price(given: object, flavor: Flavor) -> str:
    """Return a price for spot instances; refuse one below what they cost now."""
    least = flavor.cpus * 0.01
    try:
        price = float(str(given)) if given else least * 3
    except ValueError as fault:
        raise invalid(f"Invalid value '{given}' for price") from fault
    if price < least:
        raise RefusalError(
            "SpotMaxPriceTooLow",
            "Your Spot request price is lower than the minimum required Spot request "
            "fulfillment price.",
        )
    return f"{price:f}"


def launched(
    call: Call, order: Order, counts: tuple[int, int], tags: Tags, *, price: str
) -> Reservation:
    """Launch as many as fit; `price` is that of spot instances."""
    least, most = counts
    if not 1 <= least <= most:
        raise invalid(
            f"Invalid value for min/max instance count: {least}/{most}; expected "
            "1 <= MinCount <= MaxCount"
        )
    flavor = flavor_of(order)
    allowed = _within_quota(call, least, most, spot=bool(price))
    candidates = _candidates(call.account, asked_zone(order, call.account), flavor)
    planned(order, call.account, candidates[0], spot=bool(price))  # refuses first
    room = {
        subnet.id: room_for(call.cloud, subnet.zone, flavor, call.now)
        for subnet in candidates
    }
    best = max(candidates, key=lambda subnet: min(room[subnet.id], allowed))
    count = int(min(room[best.id], allowed))
    if count < least:
        raise no_capacity(flavor, best.zone)
    call.permitted()
    if call.behaviour.throttle:
        call.account.buckets.take_resources("RunInstances", count)
    plan = planned(order, call.account, best, spot=bool(price))
    return _made(call, plan, count, tags, price)


def _within_quota(call: Call, least: int, most: int, *, spot: bool) -> int:
    """Return how many of an order the account may have."""
    quota = call.behaviour.quota
    taken = len(occupying(call.account.instances.values(), call.now))
    if taken + least <= quota:
        return min(most, quota - taken)
    if spot:
        raise RefusalError(
            "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded"
        )
    raise RefusalError(
        "InstanceLimitExceeded",
        f"You have requested more instances ({taken + least}) than your current "
        f"instance limit of {quota} allows for the specified instance type.",
    )


def _candidates(account: Account, zone: str, flavor: Flavor) -> list[Subnet]:
    """Return the subnets that an order may go to."""
    subnets = [one for one in account.subnets.values() if zone in ("", one.zone)]
    found = [one for one in subnets if flavor.offered_in(one.zone)]
    if not found:
        offered = ", ".join(filter(flavor.offered_in, zones(account.region)))
        raise RefusalError(
            "Unsupported",
            f"Your requested instance type ({flavor.name}) is not supported in your "
            f"requested Availability Zone ({zone}). Please retry your request by not "
            f"specifying an Availability Zone or choosing {offered}.",
        )
    return found


def room_for(cloud: Cloud, zone: str, flavor: Flavor, now: float) -> float:
    """Return for how many more instances of a type a zone has machines."""
    room = float("inf")
    for scope in (f"{zone}/{flavor.name}", zone, ""):
        if scope in cloud.behaviour.capacity:
            taken = _taken(cloud.instances(), scope, now)
            room = min(room, max(0, cloud.behaviour.capacity[scope] - taken))
    return room


def _taken(instances: Iterable[Instance], scope: str, now: float) -> int:
    def inside(one: Instance) -> bool:
        zone = one.plan.subnet.zone
        return scope in ("", zone, f"{zone}/{one.plan.flavor.name}")

    return sum(map(inside, occupying(instances, now)))


def no_capacity(flavor: Flavor, zone: str) -> RefusalError:
    """Say that a zone has no machines left."""
    return RefusalError(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {flavor.name} capacity in the "
        f"Availability Zone you requested ({zone}). Our system will be working on "
        "provisioning additional capacity.",
    )


def _made(
    call: Call, plan: LaunchPlan, count: int, tags: Tags, price: str
) -> Reservation:
    made = Reservation(new_id("r"), call.account.id)
    for index in range(count):
        instance = _instance(call, plan, made, index)
        made.instances.append(instance)
        call.account.instances[instance.id] = instance
        if price:
            _request_spot(call, instance, price)
        _tag(call.account, instance, tags)
        call.cloud.changed(instance)
    call.account.reservations.append(made)
    return made


def _instance(call: Call, plan: LaunchPlan, made: Reservation, index: int) -> Instance:
    instance = Instance(
        id=new_id("i"),
        serial=call.cloud.next_serial(),
        reservation=made,
        index=index,
        plan=plan,
        launched_at=call.now,
        address=plan.subnet.pool.take(),
        interface=new_id("eni"),
        volumes=tuple(new_id("vol") for _ in plan.volumes),
        attachment=new_id("eni-attach"),
        hidden_until=call.now + call.behaviour.list_lag,
    )
    instance.boots(call.now, call.behaviour, call.cloud.fate.of_boot())
    return instance


def _request_spot(call: Call, instance: Instance, price: str) -> None:
    request = SpotRequest(new_id("sir"), instance, call.now, price, instance.plan)
    instance.spot_request = request.id
    call.account.spot_requests[request.id] = request


def _tag(account: Account, instance: Instance, tags: Tags) -> None:
    resources = {
        "instance": (instance.id,),
        "network-interface": (instance.interface,),
        "spot-instances-request": (instance.spot_request,),
        "volume": instance.volumes,
    }
    for kind, given in tags.items():
        for resource in resources[kind]:
            account.tags[resource] = dict(given)
