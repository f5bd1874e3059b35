"""The loopback addresses that are ours, and who hands them out."""

from __future__ import annotations

import ipaddress
import itertools
import socket
from collections.abc import Iterator
from dataclasses import dataclass

#: On which port a server holds its range; nobody else uses it on these addresses.
_LOCK_PORT = 4022

#: The second number of each range's first address.
_FIRSTS = range(16, 256, 16)

#: The range of those who only show addresses and do not listen there.
SHARED_FIRST = _FIRSTS[0]


class NoRangeError(Exception):
    """No range of loopback addresses is free, or there are none on this machine."""


class AddressRange:
    """A sixteenth of the loopback addresses, ours for as long as it is open."""

    def __init__(self) -> None:
        self._lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.first = self._claimed()

    def _claimed(self) -> int:
        for first in _FIRSTS:
            try:
                self._lock.bind((f"127.{first + 15}.255.254", _LOCK_PORT))
            except OSError:
                continue
            return first
        self._lock.close()
        raise NoRangeError("all ranges of loopback addresses are in use")

    def close(self) -> None:
        """Leave the range to others."""
        self._lock.close()


class AddressPool:
    """A /16 that hands out each address once before it begins anew."""

    def __init__(self, cidr: str) -> None:
        self.cidr = cidr
        self._addresses = itertools.cycle(_host_addresses(cidr))

    def take(self) -> str:
        """Return the next address."""
        return next(self._addresses)


def _host_addresses(cidr: str) -> Iterator[str]:
    """Yield the addresses for instances; the first ones belong to the network."""
    for host in ipaddress.ip_network(cidr).hosts():
        if host.packed[-1] not in (0, 1, 2, 3, 255):
            yield str(host)


class AddressPlan:
    """Divides a server's range into pools; they outlive the clouds that use them.

    So no address soon means another instance to somebody who remembers it.
    """

    def __init__(self, first: int) -> None:
        self._pools = [AddressPool(f"127.{first + i}.0.0/16") for i in range(15)]
        self._next = 0

    def rewound(self) -> AddressPlan:
        """Begin anew for another cloud."""
        self._next = 0
        return self

    def pool(self) -> AddressPool:
        """Return the next pool."""
        self._next += 1
        return self._pools[self._next - 1]


@dataclass(slots=True)
class Subnet:
    """The default network of a zone."""

    id: str
    zone: str
    vpc_id: str
    pool: AddressPool
    maps_public: bool = True
