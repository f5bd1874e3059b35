"""The module of the role `system`: what it reads of the kernel and of files."""

from __future__ import annotations

import importlib.util
import os
import socket
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from aioelasticluster.setup.environment import PLAYBOOKS

PATH = PLAYBOOKS / "roles" / "system" / "library" / "aioec_service.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("aioec_service", PATH)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_a_port_counts_once_somebody_listens_on_it(
    module: ModuleType, family: int, address: str
) -> None:
    with socket.socket(family) as server:
        try:
            server.bind((address, 0))
        except OSError as fault:
            pytest.skip(f"this machine has no {address}: {fault}")
        port = server.getsockname()[1]
        assert port not in module.listening()
        server.listen()
        assert port in module.listening()


def test_units_that_each_reload_writes_anew_are_no_reason_to_restart(
    module: ModuleType,
) -> None:
    wanted = {"name": "a", "config": ["/etc/a"]}
    service = module.Service(SimpleNamespace(params=wanted))
    written = "/etc/systemd/system/a.service.d/b.conf"
    service.state = {
        "FragmentPath": "/lib/systemd/system/a.service",
        "DropInPaths": f"/run/systemd/generator/a.service.d/c.conf {written}",
    }
    assert service.files() == ["/etc/a", "/lib/systemd/system/a.service", written]


def test_a_file_that_is_newer_than_the_process_is_a_reason_to_restart(
    module: ModuleType, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.touch()
    began = module.started_at(
        {"ExecMainStartTimestampMonotonic": str(int(time.monotonic() * 1e6))}
    )
    assert began == pytest.approx(time.time(), abs=1.0)
    os.utime(config, (began - 1, began - 1))
    assert not module.changed_after(began, str(config))
    os.utime(config, (began + 1, began + 1))
    assert module.changed_after(began, str(config))
    assert not module.changed_after(began, str(tmp_path / "missing"))
