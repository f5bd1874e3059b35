"""Serves one OpenStack API on two sockets that it is given, and ends with its input.

What comes to the first, the public one, is logged: that are the users' requests. At
the second one services ask one another. Nova is API, conductor, scheduler and any
number of compute hosts in this one process, so that no message broker is needed; so is
cinder with its scheduler and its volume service.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.clouds.openstack.services import databases

_MODULES = {
    "keystone": "keystone.wsgi.api",
    "placement": "placement.wsgi.api",
    "glance": "glance.wsgi.api",
    "neutron": "neutron.wsgi.api",
    "nova": "nova.wsgi.osapi_compute",
    "cinder": "cinder.wsgi.api",
}

Application = Callable[..., Iterable[bytes]]


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", choices=_MODULES)
    parser.add_argument("--log", required=True, help="the file for users' requests")
    parser.add_argument("--public", type=int, required=True, help="file descriptor")
    parser.add_argument("--internal", type=int, required=True, help="file descriptor")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--computes", type=int, default=0, help="nova's hosts")
    given, others = parser.parse_known_args()
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.argv = [given.service, *others]  # the services read it too
    databases.prepare()
    if given.service == "cinder":
        _make_cinder_database()
    application = importlib.import_module(_MODULES[given.service]).application
    if given.computes:
        _start_nova(given.computes)
    if given.service == "cinder":
        _start_cinder()
    _serve(given, application)


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _serve(given: argparse.Namespace, application: Application) -> None:
    import waitress  # type: ignore[import-untyped, unused-ignore]

    public, internal = (socket.socket(fileno=n) for n in (given.public, given.internal))
    logged = Logged(application, given.service, given.log, public.getsockname()[1])
    waitress.serve(
        logged,
        sockets=[public, internal],
        threads=given.threads,
        connection_limit=400,
        channel_timeout=300,
        ident=given.service,
    )


class Logged:
    """An application that notes each request of its users before it is answered."""

    def __init__(
        self, application: Application, service: str, path: str, port: int
    ) -> None:
        self._application, self._service, self._port = application, service, str(port)
        self._file = open(path, "a", buffering=1)  # noqa: SIM115 - open until the end

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        if environ["SERVER_PORT"] != self._port:
            return self._application(environ, start_response)
        note = {
            "service": self._service,
            "method": environ["REQUEST_METHOD"],
            "path": _path(environ),
            "status": 500,  # what becomes of an exception
            "at": time.time(),
        }

        def started(status: str, *rest: Any) -> Any:
            note["status"] = int(status.split()[0])
            return start_response(status, *rest)

        try:
            return self._application(environ, started)
        finally:
            note["seconds"] = round(time.time() - note["at"], 4)
            self._file.write(json.dumps(note) + "\n")


def _path(environ: dict[str, Any]) -> str:
    """Return path and query, before the application takes them apart."""
    path = environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]
    query = environ.get("QUERY_STRING")
    return f"{path}?{query}" if query else str(path)


def _start_nova(computes: int) -> None:
    """Start what nova's API needs behind it: as its own programs do, but unforked."""
    # ruff: isort: off
    from nova import context, objects, service  # type: ignore[import-not-found]
    from nova.compute import rpcapi as compute  # type: ignore[import-not-found]
    from nova.conductor import rpcapi as conductor  # type: ignore[import-not-found]
    from nova.conf import CONF  # type: ignore[import-not-found]
    from nova.objects import host_mapping  # type: ignore[import-not-found]
    from nova.scheduler import rpcapi as scheduler  # type: ignore[import-not-found]
    import os_brick  # type: ignore[import-not-found]
    import os_vif  # type: ignore[import-not-found]
    # ruff: isort: on

    from tests.clouds.openstack.services import hypervisor

    sys.modules["nova.virt.loopback"] = hypervisor  # drivers have to be below nova.virt
    objects.register_all()
    os_brick.setup(CONF)
    os_vif.initialize()
    for binary, topic in (
        ("nova-conductor", conductor.RPC_TOPIC),
        ("nova-scheduler", scheduler.RPC_TOPIC),
    ):
        service.Service.create(binary=binary, topic=topic).start()
    for number in range(1, computes + 1):
        service.Service.create(
            binary="nova-compute",
            topic=compute.RPC_TOPIC,
            topic_alt=getattr(compute, "RPC_TOPIC_ALT", None),
            host=f"compute-{number}",
        ).start()
    host_mapping.discover_hosts(context.get_admin_context())


def _make_cinder_database() -> None:
    """Make the tables: already its API does not start without them."""
    # ruff: isort: off
    from cinder.cmd import volume  # type: ignore[import-not-found]
    from cinder.db import migration  # type: ignore[import-not-found]
    # ruff: isort: on

    volume.CONF(sys.argv[1:], project="cinder")
    migration.db_sync()


def _start_cinder() -> None:
    """Start what cinder's API needs behind it, unforked."""
    # ruff: isort: off
    from cinder import service  # type: ignore[import-not-found]
    from cinder.cmd import volume
    # ruff: isort: on

    backend = volume.CONF.enabled_backends[0]
    volume.CONF.register_opt(volume.host_opt, group=backend)
    service.Service.create(
        binary="cinder-volume",
        host=f"{volume.CONF.host}@{backend}",
        service_name=backend,
        coordination=True,
    ).start()
    service.Service.create(binary="cinder-scheduler").start()


if __name__ == "__main__":
    main()
