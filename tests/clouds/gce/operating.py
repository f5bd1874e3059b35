"""Operations as clients see them: asked for, waited for, listed, deleted."""

from __future__ import annotations

from functools import partial

from tests.clouds.gce.actions import Call, Later, Reply, action
from tests.clouds.gce.listing import listed
from tests.clouds.gce.operations import Operation

_SCOPES = ("zone", "region", "global")


def _named(call: Call) -> Operation:
    return call.project.operation(call.place, call.path["operation"])


@action(*(f"{scope}Operations.get" for scope in _SCOPES))
def get_operation(call: Call) -> Reply:
    """Return one operation."""
    return _named(call).plain(call.root, call.now)


@action(*(f"{scope}Operations.wait" for scope in _SCOPES))
def wait_operation(call: Call) -> Later:
    """Return an operation when it is done, or when nobody would wait any longer."""
    operation = _named(call)
    longest = min(120.0, call.behaviour.wait_seconds)
    until = min(operation.ends, call.now + longest)
    return Later(until, partial(operation.plain, call.root))


@action(*(f"{scope}Operations.list" for scope in _SCOPES))
def list_operations(call: Call) -> Reply:
    """List the operations of one place."""
    found = [
        one.plain(call.root, call.now)
        for one in call.project.operations.values()
        if one.place == call.place
    ]
    return listed(call, "operationList", found)


@action(*(f"{scope}Operations.delete" for scope in _SCOPES))
def delete_operation(call: Call) -> None:
    """Forget an operation; what it does goes on."""
    del call.project.operations[_named(call).name]
