"""The whole cloud: its accounts, how it behaves, and its clock. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.clouds.ec2.account import Account
from tests.clouds.ec2.addresses import AddressPlan, AddressPool
from tests.clouds.ec2.behaviour import Behaviour, Fate
from tests.clouds.ec2.buckets import Buckets
from tests.clouds.ec2.instances import Instance


class Cloud:
    """All that exists; `clock` says the time in seconds since the epoch.

    `changed` is called with an instance whenever other states lie ahead of it than
    before, or when it gets another address.
    """

    def __init__(self, clock: Callable[[], float], plan: AddressPlan) -> None:
        self.clock = clock
        self.behaviour = Behaviour()
        self.fate = Fate(self.behaviour)
        self.changed: Callable[[Instance], None] = lambda instance: None
        self._plan = plan.rewound()
        self.elastic_pool: AddressPool = self._plan.pool()
        self._accounts: dict[tuple[str, str], Account] = {}
        self._serial = 0

    def account(self, account_id: str, region: str) -> Account:
        """Return what an account has in a region."""
        key = account_id, region
        if key not in self._accounts:
            self._accounts[key] = Account(account_id, region, self.clock, self._plan)
        return self._accounts[key]

    def accounts(self) -> Iterator[Account]:
        """Yield all that has been used."""
        yield from self._accounts.values()

    def instances(self) -> Iterator[Instance]:
        """Yield the instances of all accounts, also what cannot be listed yet."""
        for account in self._accounts.values():
            yield from account.instances.values()

    def next_serial(self) -> int:
        """Return a number greater than those before."""
        self._serial += 1
        return self._serial

    def behave(self, changes: Mapping[str, Any]) -> None:
        """Change how the cloud behaves from now on; raise `ValueError`."""
        before, self.behaviour = self.behaviour, self.behaviour.changed(changes)
        self.fate = Fate(self.behaviour)
        if self.behaviour.throttle and not before.throttle:
            for account in self.accounts():
                account.buckets = Buckets(self.clock)
        if self.behaviour.spot_loss != before.spot_loss:
            for instance in self.instances():
                instance.may_be_lost(self.clock(), self.behaviour)
                self.changed(instance)
