from __future__ import annotations

import pytest

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.setup.ansible import AnsibleSetupProvider
from aioelasticluster.setup.catalogue import (
    GROUPS,
    check_companions,
    check_known,
    hearing,
)
from aioelasticluster.setup.environment import PLAYBOOKS


def test_every_group_has_the_role_that_it_names() -> None:
    for group in GROUPS.values():
        assert (PLAYBOOKS / "roles" / group.role / "tasks" / "main.yml").is_file()


@pytest.mark.parametrize(
    "pair",
    [
        ("dask_scheduler", "dask_worker"),
        ("ray_head", "ray_worker"),
        ("spark_master", "spark_worker"),
    ],
)
def test_what_computes_in_python_needs_neither_root_nor_systemd(
    pair: tuple[str, str],
) -> None:
    groups = dict(zip(("frontend", "compute"), pair, strict=True))
    needed = AnsibleSetupProvider(groups).check(["frontend", "compute"])
    assert (needed.root, needed.systemd) == ("", "")


def test_jupyterhub_needs_root_for_it_starts_servers_as_its_users() -> None:
    needed = AnsibleSetupProvider({"frontend": "jupyterhub"}).check(["frontend"])
    assert (needed.root, needed.systemd) == ("group jupyterhub", "group jupyterhub")


def test_an_unknown_group_is_refused_with_what_was_probably_meant() -> None:
    with pytest.raises(
        ConfigurationError, match=r"dask_workers.*Did you mean dask_wor"
    ):
        check_known(["dask_workers"])
    with pytest.raises(ConfigurationError, match="playbook of your own"):
        check_known(["quux"])


def test_a_worker_needs_a_scheduler_and_no_more_than_one() -> None:
    with pytest.raises(ConfigurationError, match="dask_scheduler"):
        check_companions({"dask_worker": ["compute"]})
    with pytest.raises(ConfigurationError, match="one host only"):
        check_companions({"dask_scheduler": ["a001", "b001"], "dask_worker": ["c001"]})
    check_companions({"dask_scheduler": ["a001"], "others": ["b001"]})


def test_a_client_of_nfs_needs_a_server_unless_it_is_told_what_to_mount() -> None:
    groups = {"compute": "nfs_client"}
    with pytest.raises(ConfigurationError, match="nfs_server, or set NFS_MOUNTS"):
        AnsibleSetupProvider(groups).check(groups)
    mounts = [{"fs": "filer.example:/home", "mountpoint": "/home"}]
    kinds = {"compute": {"NFS_MOUNTS": mounts}}
    AnsibleSetupProvider(groups, kind_variables=kinds).check(groups)
    AnsibleSetupProvider(groups, variables={"NFS_MOUNTS": mounts}).check(groups)


def test_slurm_needs_hosts_with_root_and_systemd() -> None:
    groups = {
        "frontend": "slurm_master",
        "login": "slurm_client",
        "compute": "slurm_worker",
    }
    needed = AnsibleSetupProvider(groups).check([*groups])
    assert needed.root == needed.systemd
    assert needed.root == "group slurm_master, group slurm_submit, group slurm_worker"


def test_a_new_worker_is_heard_of_where_slurm_keeps_its_nodes() -> None:
    members = {
        "slurm_master": ["frontend001"],
        "slurm_submit": ["login001"],
        "slurm_worker": ["compute001", "compute002"],
        "dask_scheduler": ["frontend002"],
    }
    assert hearing(members, ["compute002"]) == {"frontend001", "login001"}
    assert hearing(members, ["frontend002"]) == set()
    assert hearing(members, ["frontend001", "compute002"]) == {"login001"}
