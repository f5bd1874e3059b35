"""Starts the services, tells where they are, and ends all of it with its own input.

Whoever started it need not be alive to have it cleared away: when its standard input
ends, it ends the services and removes their folder. When it is killed itself, the
services' inputs end, and so do they.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, NoReturn

from tests.clouds.ec2.running import why_no_hosts
from tests.clouds.openstack import snapshots
from tests.clouds.openstack.filling import (
    administrator,
    fill_catalog,
    fill_services,
)
from tests.clouds.openstack.hosts import keeping_hosts
from tests.clouds.openstack.installation import Cache, NotInstallableError
from tests.clouds.openstack.place import SERVICES, Network, Place
from tests.clouds.openstack.processes import Programs, Sockets
from tests.clouds.openstack.schemas import make_databases
from tests.clouds.openstack.services import guests
from tests.clouds.openstack.settings import write_settings

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Serve until standard input ends, or a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--computes", type=int, default=4, help="how many fake hosts")
    parser.add_argument("--no-hosts", action="store_true", help="no SSH servers")
    given = parser.parse_args()
    for one in _SIGNALS:
        signal.signal(one, _leave)
    threading.Thread(target=_leave_with_input, daemon=True).start()
    cache = Cache.of_this_version()
    try:
        with cache.locked():
            cache.install()
    except NotInstallableError as fault:
        _tell({"unavailable": f"OpenStack cannot be installed here: {fault}"})
        return
    no_hosts = "not asked for" if given.no_hosts else why_no_hosts()
    with _cloud(cache, given.computes, no_hosts) as facts:
        _tell(facts)
        threading.Event().wait()


def _leave(number: int, frame: object) -> NoReturn:
    """Leave by an exception, so that everything is ended on the way out."""
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    sys.exit(0)


def _leave_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _tell(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


@contextmanager
def _cloud(cache: Cache, computes: int, no_hosts: str) -> Iterator[dict[str, Any]]:
    """Run a cloud; what it yields is what its users have to know."""
    with cache.locked():
        if not cache.snapshot.exists():
            _make_snapshot(cache)
        for old in cache.old_snapshots():
            shutil.rmtree(old)
    with ExitStack() as stack:
        place, sockets = stack.enter_context(_place(cache))
        with cache.locked():
            snapshots.restore(cache.snapshot, place)
        pids = {} if no_hosts else {"hosts": stack.enter_context(_hosts(place))}
        programs = stack.enter_context(Programs(cache, place))
        _start(programs, sockets, computes, {} if no_hosts else _telling(place))
        yield {
            "auth_url": place.url("keystone", public=True),
            "compute_url": place.url("nova", public=True),
            "folder": str(place.folder),
            "network": place.network,
            "ports": {name: astuple(two) for name, two in place.ports.items()},
            "pids": {**programs.pids(), **pids},
            "no_hosts": no_hosts,
        }


def _hosts(place: Place) -> AbstractContextManager[int]:
    return keeping_hosts(place.folder / "hosts", place.folder / "guests")


def _telling(place: Place) -> dict[str, str]:
    """Return the variables of services that tell what becomes of servers."""
    return {guests.VARIABLE: str(place.folder / "guests")}


def _start(
    programs: Programs, sockets: Sockets, computes: int, telling: dict[str, str]
) -> None:
    """Start all services side by side, and wait until they answer."""
    programs.serve("keystone", sockets)
    programs.serve("nova", sockets, "--computes", computes, **telling)
    programs.serve("neutron", sockets, **telling)
    programs.serve("placement", sockets)
    programs.serve("glance", sockets)
    for service in SERVICES:
        programs.answering(service)


@contextmanager
def _place(cache: Cache) -> Iterator[tuple[Place, Sockets]]:
    """Yield a place with sockets of its own; nothing of it is left afterwards."""
    with ExitStack() as stack:
        network = stack.enter_context(closing(Network()))
        folder = tempfile.mkdtemp(prefix="aioec-openstack-")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        sockets = Sockets()
        stack.callback(sockets.close_all)
        place = Place(
            folder=Path(folder),
            environment=cache.environment,
            ports=sockets.ports(),
            network=network.prefix,
        )
        place.make()
        write_settings(place)
        yield place, sockets


def _make_snapshot(cache: Cache) -> None:
    """Make the databases, fill them through the services, and keep them."""
    with _place(cache) as (place, sockets):
        with Programs(cache, place) as programs:
            make_databases(programs, place)
            for service in SERVICES:
                programs.serve(service, sockets)
            programs.answering("keystone")
            url = place.url("keystone", public=True)
            with closing(administrator(url)) as admin:
                fill_catalog(admin, place)
            for service in SERVICES:
                programs.answering(service)
            with closing(administrator(url)) as admin:  # one that knows the catalog
                fill_services(admin, place)
        snapshots.save(place, cache.snapshot)


if __name__ == "__main__":
    main()
