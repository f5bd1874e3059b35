"""The table of what the server can do, and what a doer is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.clouds.ec2.account import Account
from tests.clouds.ec2.behaviour import Behaviour
from tests.clouds.ec2.cloud import Cloud
from tests.clouds.ec2.refusals import RefusalError

Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was understood: who asks for what, and when."""

    action: str
    parameters: Mapping[str, Any]
    cloud: Cloud
    account: Account
    now: float

    @property
    def behaviour(self) -> Behaviour:
        """How the cloud behaves now."""
        return self.cloud.behaviour

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter."""
        return self.parameters.get(name, default)

    def permitted(self) -> None:
        """Go no further with a dry run: all that could be wrong is right."""
        if self.get("DryRun"):
            raise RefusalError(
                "DryRunOperation",
                "Request would have succeeded, but DryRun flag is set.",
            )


@dataclass(frozen=True, slots=True)
class Action:
    """What is done for an action, and the parameters that it takes notice of."""

    run: Callable[[Call], Reply]
    parameters: frozenset[str]


ACTIONS: dict[str, Action] = {}


def action(
    name: str, *parameters: str
) -> Callable[[Callable[[Call], Reply]], Callable[[Call], Reply]]:
    """Enter a function in the table of actions."""

    def entered(run: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
        ACTIONS[name] = Action(run, frozenset({"DryRun", *parameters}))
        return run

    return entered


def perform(call: Call) -> Reply:
    """Do what is asked; refuse what the model knows but this server does not."""
    known = ACTIONS[call.action]
    if unknown := sorted(call.parameters.keys() - known.parameters):
        raise RefusalError(
            "UnsupportedOperation",
            f"{call.action} does not support {', '.join(unknown)} here",
        )
    reply = known.run(call)
    call.permitted()
    return reply
