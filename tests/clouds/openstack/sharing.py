"""One cloud for all tests of a session, whichever folder they are in."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.clouds.openstack.installation import Cache
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.running import UnavailableError, running_openstack
from tests.required import skip_unless_wanted

#: The marks of a test that uses the cloud. Starting that takes as long as it takes.
MARKS = [pytest.mark.openstack, pytest.mark.timeout(60, func_only=True)]

_STARTED = pytest.StashKey[OpenStackRig | Exception]()


def shared_rig(config: pytest.Config) -> OpenStackRig:
    """Return the session's cloud, started on first use; skip where there is none."""
    if not Cache.of_this_version().complete:
        skip_unless_wanted("openstack", "OpenStack's services (600 MB)")
    if _STARTED not in config.stash:
        config.stash[_STARTED] = _started(config)
    found = config.stash[_STARTED]
    if isinstance(found, UnavailableError):
        pytest.skip(str(found))
    if isinstance(found, Exception):
        raise found
    return found


def _started(config: pytest.Config) -> OpenStackRig | Exception:
    stack = ExitStack()
    config.add_cleanup(stack.close)
    try:
        return stack.enter_context(running_openstack())
    except (RuntimeError, UnavailableError) as fault:
        return fault
