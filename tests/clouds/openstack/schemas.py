"""Makes the services' databases from nothing: by their own tools, side by side."""

from __future__ import annotations

import os

from tests.clouds.openstack.place import Place
from tests.clouds.openstack.processes import Programs
from tests.clouds.openstack.settings import BROKER, FILES, database_url
from tests.clouds.openstack.users import ADMIN_PASSWORD


def make_databases(programs: Programs, place: Place) -> None:
    """Make all databases, with an administrator and the catalog's first entry."""
    neutron = place.settings("neutron") / FILES["neutron"]
    tables = "tests.clouds.openstack.services.neutron_tables"
    programs.run("neutron-tables", "-m", tables, neutron)
    lanes = {
        "keystone-manage": _keystone(place),
        "nova-manage": _nova(place),
        "placement-manage": [["db", "sync"]],
        "glance-manage": [["db_sync"]],
    }
    while lanes:  # one command of each lane at a time
        for tool, commands in lanes.items():
            programs.run(tool, *_command(place, tool), *commands.pop(0))
        for tool in lanes:
            programs.finished(tool)
        lanes = {tool: commands for tool, commands in lanes.items() if commands}
    programs.finished("neutron-tables")


def _command(place: Place, tool: str) -> list[object]:
    service = tool.partition("-")[0]
    settings = place.settings(service) / FILES[service]
    return [place.environment / "bin" / tool, "--config-file", settings]


def _keystone(place: Place) -> list[list[str]]:
    me = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    return [
        ["db_sync"],
        ["fernet_setup", *me],
        ["credential_setup", *me],
        [
            *("bootstrap", "--bootstrap-password", ADMIN_PASSWORD),
            *("--bootstrap-region-id", "RegionOne"),
            *("--bootstrap-public-url", place.url("keystone", public=True)),
            *("--bootstrap-internal-url", place.url("keystone")),
            *("--bootstrap-admin-url", place.url("keystone")),
        ],
    ]


def _nova(place: Place) -> list[list[str]]:
    first, second = (database_url(place, f"nova_cell{number}") for number in (0, 1))
    return [
        ["api_db", "sync"],
        ["cell_v2", "map_cell0", "--database_connection", first],
        ["db", "sync"],
        [
            *("cell_v2", "create_cell", "--name", "cell1"),
            *("--transport-url", BROKER, "--database_connection", second),
        ],
    ]
