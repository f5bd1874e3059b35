"""Runs the real OpenStack for tests: keystone, placement, glance, neutron and nova.

Real: everything that answers. The services are the released ones, pinned, with their
validation, policies, quotas, microversions, scheduler and errors; nova builds and
deletes servers through its conductor and its compute hosts, neutron hands out fixed
and floating addresses. Not real: what is below. The hypervisor is nova's own fake one,
which only remembers what it was told; networks have no wires, and images no system.
All of it is on 127.0.0.1, in sqlite, without a message broker or root. Volumes are not
there unless a test asks for them (volumes.py).

Servers have loopback addresses. Where this machine lets us listen on port 22, each
server that is on is a real SSH server there, as its user-data and key pair say.

The first start installs the services (~600 MB) and makes their databases; both are
kept in the user's cache folder, or where AIOELASTICLUSTER_TEST_CACHE says. By hand:

    python -m tests.clouds.openstack.running

prints where it runs, and serves until its input ends or Ctrl-C.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.clouds.openstack import supervisor
from tests.clouds.openstack.processes import ROOT
from tests.clouds.openstack.rig import OpenStackRig

#: How long (seconds) the services may take to end by themselves.
_PATIENCE = 20.0


class UnavailableError(Exception):
    """The services cannot be had on this machine; the message says why."""


@contextmanager
def running_openstack(
    *, computes: int = 4, hosts: bool = True
) -> Iterator[OpenStackRig]:
    """Run a cloud for the block; it ends with the block, whatever happens.

    `computes` is the number of compute hosts. Raises `UnavailableError` where the
    services cannot be installed, RuntimeError where they do not start.
    """
    options = [f"--computes={computes}", *([] if hosts else ["--no-hosts"])]
    command = [sys.executable, "-m", "tests.clouds.openstack.supervisor", *options]
    # In a session of its own, so that Ctrl-C reaches it through its input alone.
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            with closing(_rig(process.stdout.readline())) as rig:
                yield rig
        finally:
            process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _rig(line: bytes) -> OpenStackRig:
    """Return the cloud that the supervisor tells of."""
    if not line:
        raise RuntimeError("the OpenStack services did not start")
    told = json.loads(line)
    if "unavailable" in told:
        raise UnavailableError(told["unavailable"])
    return OpenStackRig(**told)


if __name__ == "__main__":
    supervisor.main()
