"""Which processes belong to an instance."""

from __future__ import annotations

import pytest

from aioelasticluster.providers.local.server import processes
from aioelasticluster.providers.local.server.processes import (
    Process,
    belonging_to,
    from_ps,
)


def test_a_listing_of_ps_is_read_with_the_environment() -> None:
    listing = """
    1     0 Ss   /sbin/launchd
  812     1 S    /usr/bin/python3 -m server HOME=/Users/x
  900   812 S+   /bin/bash -c sleep 9 AIOEC_INSTANCE=i-1 HOME=/h
  901   900 Z    (sleep)
  902     1 T    sleep 9 PATH=/bin AIOEC_INSTANCE=i-2
    """
    assert list(from_ps(listing)) == [
        Process(1, 0, ""),
        Process(812, 1, ""),
        Process(900, 812, "i-1"),
        Process(902, 1, "i-2"),
    ]


def test_descendants_of_a_server_and_bearers_of_its_mark_belong_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = [
        Process(1, 0, ""),
        Process(10, 1, ""),  # the server of i-1
        Process(30, 10, "i-1"),  # a session of its
        Process(20, 30, ""),  # … that dropped its environment
        Process(40, 1, "i-1"),  # a daemon that has left the tree
        Process(50, 40, "i-9"),  # an instance within the instance
        Process(60, 1, ""),  # the server of i-2
        Process(70, 1, "i-3"),  # whose server is dead
        Process(80, 1, "i-9"),  # not of this cloud
    ]
    monkeypatch.setattr(processes, "running", lambda: iter(table))
    found = belonging_to({"i-1": 10, "i-2": 60, "i-3": None})
    assert set(found["i-1"]) == {10, 20, 30, 40, 50}
    assert found["i-1"].index(10) < found["i-1"].index(30) < found["i-1"].index(20)
    assert found["i-2"] == [60]
    assert found["i-3"] == [70]
