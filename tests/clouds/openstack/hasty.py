"""A second keystone for the same users, whose tokens do not live for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.clouds.openstack.installation import Cache
from tests.clouds.openstack.place import Place
from tests.clouds.openstack.processes import Programs, Sockets
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.settings import FILES

#: Where the services are installed; tests may have another home by the time they ask.
_CACHE = Cache.of_this_version()


@contextmanager
def hasty_keystone(rig: OpenStackRig, lifetime: int) -> Iterator[str]:
    """Run it for the block; yield its address.

    Its tokens live for `lifetime` seconds. It shares its users and its keys with the
    cloud's own keystone, which the other services ask what a token is worth.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="aioec-keystone-")))
        sockets = Sockets()
        stack.callback(sockets.close_all)
        place = Place(
            folder=folder,
            environment=_CACHE.environment,
            ports=sockets.ports(),
            network=rig.network,
        )
        place.make()
        own = Path("settings", "keystone", FILES["keystone"])
        settings = (rig.folder / own).read_text()
        (folder / own).write_text(f"{settings}\n[token]\nexpiration = {lifetime}\n")
        programs = stack.enter_context(Programs(_CACHE, place))
        programs.serve("keystone", sockets)
        programs.answering("keystone")
        yield place.url("keystone", public=True)
