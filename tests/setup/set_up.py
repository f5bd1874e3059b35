"""Sets hosts up in a process of its own, which a test kills.

The plan (JSON) is its argument; it prints the name of each task as it begins.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.events import Event, SetupTaskStarted
from aioelasticluster.setup.ansible import AnsibleSetupProvider
from aioelasticluster.setup.base import SetupCluster, SetupHost


def tell(event: Event) -> None:
    if isinstance(event, SetupTaskStarted):
        os.write(1, f"{event.task}\n".encode())


async def main() -> None:
    plan = json.loads(sys.argv[1])
    cluster = SetupCluster(
        id=plan["id"],
        name="demo",
        hosts=tuple(SetupHost(**host) for host in plan["hosts"]),
        private_key_path=plan["key"],
        passphrase="",
        proxy="",
        capabilities=Capabilities(root=False, systemd=False, python=plan["python"]),
        listen=tell,
    )
    provider = AnsibleSetupProvider(
        {"frontend": [], "compute": []},
        playbook=plan["playbook"],
        work_dir=plan["work"],
    )
    await provider.setup(cluster)


asyncio.run(main())
