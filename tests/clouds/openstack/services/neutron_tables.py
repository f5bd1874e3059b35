"""Makes neutron's tables in sqlite, where its migrations do not run.

They come from its models; what a migration would write into them is written here:
the rules that every new security group gets.
"""

from __future__ import annotations

import sys
import uuid
from typing import Any

# ruff: isort: off
import sqlalchemy  # type: ignore[import-not-found, unused-ignore]
from neutron.common import config  # type: ignore[import-not-found]
from neutron.db.migration.models import head  # type: ignore[import-not-found]
from oslo_config import cfg  # type: ignore[import-not-found]
from oslo_db import options  # type: ignore[import-not-found]
# ruff: isort: on

#: Which rules a group begins with; those for ingress only the default group.
_RULES = (
    {"direction": "egress", "ethertype": "IPv4"},
    {"direction": "egress", "ethertype": "IPv6"},
    {"direction": "ingress", "ethertype": "IPv4", "remote_group_id": "PARENT"},
    {"direction": "ingress", "ethertype": "IPv6", "remote_group_id": "PARENT"},
)


def main() -> None:
    """Make the tables in the database that the settings name."""
    assert config  # its import defines the options
    cfg.CONF(["--config-file", sys.argv[1]], project="neutron")
    options.set_defaults(cfg.CONF)
    engine = sqlalchemy.create_engine(cfg.CONF.database.connection)
    metadata = head.get_metadata()
    metadata.create_all(engine)
    with engine.begin() as connection:
        for rule in _RULES:
            _insert(connection, metadata.tables, rule)


def _insert(connection: Any, tables: Any, rule: dict[str, str]) -> None:
    rules, attributes = (
        tables["securitygroupdefaultrules"],
        tables["standardattributes"],
    )
    values: dict[str, Any] = {
        **rule,
        "id": str(uuid.uuid4()),
        "used_in_default_sg": True,
        "used_in_non_default_sg": rule["direction"] == "egress",
    }
    if "standard_attr_id" in rules.columns:
        made = connection.execute(
            attributes.insert().values(
                resource_type="default_security_group_rules", revision_number=0
            )
        )
        values["standard_attr_id"] = made.inserted_primary_key[0]
    connection.execute(rules.insert().values(**values))


if __name__ == "__main__":
    main()
