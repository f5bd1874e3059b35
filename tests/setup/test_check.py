from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.setup.ansible import AnsibleSetupProvider

DASK = {"frontend": ["dask_scheduler"], "compute": ["dask_worker"]}


@pytest.mark.parametrize(
    ("settings", "kinds", "says"),
    [
        ({"groups": DASK}, ["frontend", "compute", "login"], "nothing is said .*login"),
        ({"groups": {"compute": "dask_worker"}}, ["compute"], "dask_scheduler"),
        (
            {"groups": {"a": "dask_scheduler", "b": "dask_scheduler"}},
            ["a", "b"],
            "one host only, not a, b",
        ),
        ({"groups": {"compute": "slurm_worker"}}, ["compute"], "slurm_worker"),
        (
            {"groups": {"compute": "own"}, "playbook": "/nowhere/mine.yml"},
            ["compute"],
            "/nowhere/mine.yml",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_launched(
    settings: dict[str, Any], kinds: list[str], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        AnsibleSetupProvider(**settings).check(kinds)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"groups": {"compute": [""]}}, "not the name of an Ansible group"),
        ({"playbook": []}, "nothing would be run"),
        ({"variables": {"not-a-name": 1}}, "not the name of a variable"),
        ({"variables": {"class": 1}}, "not the name of a variable"),
        ({"variables": {"path": Path()}}, "plain data"),
        ({"kind_variables": {"compute": {"aioec_kind": 1}}}, "set by the library"),
        ({"variables": {"ansible_ssh_common_args": "-o A=b"}}, "set by the library"),
        ({"kind_variables": {"login": {}}}, "kind_variables='login'"),
        ({"become": "sometimes"}, "auto"),
        ({"forks": 0}, "more than 0"),
        ({"timeout": -1}, "more than 0"),
    ],
)
def test_bad_arguments_are_refused_at_once(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        AnsibleSetupProvider(**{"groups": DASK, **settings})


def test_a_wrong_secret_is_named_but_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AnsibleSetupProvider(DASK, secrets={"token": {"s3cret"}})
    assert "token" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("missing", ["ssh", "ansible"])
def test_a_missing_tool_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "ssh":
        monkeypatch.setenv("PATH", "/nowhere")
    else:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=missing):
        AnsibleSetupProvider(DASK).check(DASK)


def test_kinds_that_the_cluster_has_no_nodes_of_do_no_harm() -> None:
    AnsibleSetupProvider({**DASK, "login": []}).check(["frontend"])


def test_any_group_is_fine_with_a_playbook_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").touch()
    provider = AnsibleSetupProvider({"compute": "own"}, playbook=tmp_path / "mine.yml")
    provider.check(["compute"])


def test_settings_are_plain_data_that_rebuild_the_provider_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    provider = AnsibleSetupProvider(
        {"compute": "own"},
        playbook=["packaged", "mine.yml"],
        variables={"a": [1, {"b": None}]},
        secrets={"token": "s3cret"},
        timeout=60,
    )
    recorded = json.dumps(provider.settings())
    assert "s3cret" not in recorded
    monkeypatch.chdir("/")
    rebuilt = AnsibleSetupProvider(**json.loads(recorded))
    assert rebuilt.settings() == provider.settings()
    assert rebuilt.settings()["playbook"] == ["packaged", str(tmp_path / "mine.yml")]
