"""Sets clusters up with Ansible: the packaged playbook, one's own, or both."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from platformdirs import user_cache_path

from aioelasticluster._log import log
from aioelasticluster.errors import ConfigurationError, SetupError
from aioelasticluster.model.capabilities import Requirements
from aioelasticluster.model.reports import SetupReport
from aioelasticluster.setup import catalogue, mitogen
from aioelasticluster.setup.arguments import (
    PACKAGED,
    Become,
    checked_become,
    folder,
    groups_by_kind,
    plain_variables,
    playbooks_to_run,
    positive,
    variables_by_kind,
)
from aioelasticluster.setup.base import AbstractSetupProvider, SetupCluster
from aioelasticluster.setup.environment import PLAYBOOKS
from aioelasticluster.setup.inventory import inventory, members
from aioelasticluster.setup.run import PlaybookRun, in_thread
from aioelasticluster.setup.stages import Stage, combined, stages, without
from aioelasticluster.setup.workspace import ClusterFolder

#: Most hosts that are worked on at once, unless `forks` says otherwise.
MOST_FORKS = 50


class AnsibleSetupProvider(AbstractSetupProvider):
    """Sets a cluster up by running `ansible-playbook` against its nodes.

    `groups` says which Ansible groups the nodes of each kind are in, such as
    `{"frontend": ["dask_scheduler"], "compute": ["dask_worker"]}`; an empty list is
    for a kind that only gets the base role. Kinds that a cluster has no nodes of do
    no harm, so one provider may serve several clusters.

    `playbook` is a playbook of your own, run *instead of* the packaged one, or a list
    of playbooks run one after another; the word `"packaged"` in the list stands for
    the packaged one: `["packaged", "mine.yml"]`. A `before_removal.yml` beside your
    own playbook drains nodes that are about to leave. A host that fails in one playbook
    is left out of the next, the others go on.

    `variables` are for all hosts, `kind_variables` for those of a kind. Both are
    recorded with the cluster; what must not be goes into `secrets`: extra variables
    that are never recorded, on disk (mode 0600) only until Ansible has read them, and
    masked wherever they would show. A reloaded provider has to be given them again.

    `become`: whether tasks run as `become_user` unless they say otherwise; `"auto"`
    does so where the cloud gives root. `any_errors_fatal`: whether one host's failure
    stops the others. `mitogen`: whether tasks run through Mitogen, which takes a
    fraction of the time on many hosts (the extra `[mitogen]`); None: where it is
    installed and nothing speaks against it, such as a key with a passphrase (the log
    says what), True insists, False never.
    `timeout` (seconds) is for one run. `work_dir` is for private files of runs and
    gathered facts, `cache_dir` for what is fetched once for all clusters; both
    default to the user's cache folder.

    Your `ANSIBLE_*` variables count, unless they touch the verification of hosts or
    where files go. An `ansible.cfg` counts if `ANSIBLE_CONFIG` names it or if it lies
    beside your playbook, not if it merely lies in the current folder.
    """

    adapter: ClassVar[str] = "ansible"

    def __init__(
        self,
        groups: Mapping[str, str | Sequence[str]],
        *,
        playbook: str | Path | Sequence[str | Path] | None = None,
        variables: Mapping[str, Any] | None = None,
        kind_variables: Mapping[str, Mapping[str, Any]] | None = None,
        secrets: Mapping[str, Any] | None = None,
        become: Become = "auto",
        become_user: str = "root",
        forks: int | None = None,
        any_errors_fatal: bool = False,
        mitogen: bool | None = None,
        timeout: float | None = None,
        work_dir: str | Path | None = None,
        cache_dir: str | Path | None = None,
    ) -> None:
        self._groups = groups_by_kind(groups)
        self._playbooks = playbooks_to_run(playbook)
        self._variables = plain_variables("variables", variables or {})
        self._kind_variables = variables_by_kind(kind_variables or {}, self._groups)
        self._secrets = plain_variables("secrets", secrets or {})
        self._become, self._become_user = checked_become(become), become_user
        self._forks = positive("forks", forks)
        self._any_errors_fatal = any_errors_fatal
        self._mitogen = mitogen
        self._timeout = positive("timeout", timeout)
        self._work_dir, self._cache_dir = folder(work_dir), folder(cache_dir)

    def __repr__(self) -> str:
        return f"AnsibleSetupProvider({self._groups!r})"

    def settings(self) -> Mapping[str, Any]:
        """Return the keyword arguments that rebuild this provider, less the secrets."""
        return {
            "groups": self._groups,
            "playbook": list(self._playbooks),
            "variables": self._variables,
            "kind_variables": self._kind_variables,
            "become": self._become,
            "become_user": self._become_user,
            "forks": self._forks,
            "any_errors_fatal": self._any_errors_fatal,
            "mitogen": self._mitogen,
            "timeout": self._timeout,
            "work_dir": str(self._work_dir) if self._work_dir else None,
            "cache_dir": str(self._cache_dir) if self._cache_dir else None,
        }

    def check(self, kinds: Collection[str]) -> Requirements:
        """Check groups, playbooks, variables and tools; raise `ConfigurationError`."""
        self._check_kinds(kinds)
        used = {kind: self._groups[kind] for kind in kinds}
        every = [group for groups in used.values() for group in groups]
        if not self._own_playbooks:
            catalogue.check_known(every)
        if PACKAGED in self._playbooks:
            catalogue.check_companions(_kinds_inside(used), self._variables_set)
        for path in self._own_playbooks:
            if not Path(path).is_file():
                raise ConfigurationError(
                    "playbook", path, "there is no such file", "Give a playbook's path"
                )
        if self._mitogen:
            mitogen.check_installed()
        _check_tools()
        if PACKAGED in self._playbooks:
            self._warn_of_ignored()
        needed = every if PACKAGED in self._playbooks else []
        return catalogue.requirements(needed)

    def _check_kinds(self, kinds: Collection[str]) -> None:
        for kind in kinds:
            if kind not in self._groups:
                raise ConfigurationError(
                    "groups",
                    sorted(self._groups),
                    f"nothing is said about the nodes of kind {kind!r}",
                    f"Add {kind!r} with its Ansible groups, or with none: []",
                )

    def _warn_of_ignored(self) -> None:
        for name, reason in catalogue.IGNORED.items():
            if name in self._variables_set:
                log.warning("variable %s is ignored: %s", name, reason)

    @property
    def _variables_set(self) -> set[str]:
        given = [self._variables, self._secrets, *self._kind_variables.values()]
        return {name for variables in given for name in variables}

    @property
    def _own_playbooks(self) -> list[str]:
        return [path for path in self._playbooks if path != PACKAGED]

    async def setup(
        self,
        cluster: SetupCluster,
        only: Collection[str] | None = None,
        extra_args: Sequence[str] = (),
    ) -> SetupReport:
        """Run the playbooks against the hosts, or `only` some; repeating it is safe.

        The inventory has all hosts in any case, and the facts of those that are not
        set up now come from an earlier run. If there are such, they change only where
        they must: all learn the names of new hosts, a controller learns its workers
        (`setup/catalogue.py`: groups that hear); playbooks of your own leave them
        alone. `extra_args` go to `ansible-playbook`.
        """
        targets = _targets(cluster, only)
        if PACKAGED in self._playbooks:
            inside = members(self._groups, cluster.hosts)
            catalogue.check_companions(inside, self._variables_set)
        reports: list[SetupReport] = []
        failed: set[str] = set()
        expected: dict[str, None] = {}  # a set that keeps its order
        for stage in self._stages(cluster, targets):
            if not (stage := without(stage, failed)).targets:
                continue
            expected |= dict.fromkeys(stage.targets)
            report = await self._run(cluster, stage, extra_args)
            reports.append(report)
            failed.update(report.failed)
            if report.message:
                break
        return combined(reports, expected)

    def _stages(
        self, cluster: SetupCluster, targets: tuple[str, ...]
    ) -> Sequence[Stage]:
        if not targets:
            return []
        return stages(
            self._playbooks,
            members(self._groups, cluster.hosts),
            [host.name for host in cluster.hosts],
            targets,
            names=cluster.capabilities.root,
        )

    async def before_removal(
        self, cluster: SetupCluster, leaving: Collection[str]
    ) -> None:
        """Drain the leaving hosts: the packaged playbook retires Dask's workers.

        Your own playbook may have a `before_removal.yml` beside it, which finds the
        names in `aioec_leaving`. Raises `SetupError` if draining failed; what would
        have drained next is not begun then, since nobody is going to leave.
        """
        folders = [
            PLAYBOOKS if path == PACKAGED else Path(path).parent
            for path in self._playbooks
        ]
        found = await in_thread(_existing, folders, "before_removal.yml")
        everyone = tuple(host.name for host in cluster.hosts)
        if not found or not everyone:
            return
        for playbook in found:
            drains = Stage(playbook=playbook, targets=everyone)
            report = await self._run(cluster, drains, (), sorted(leaving))
            if not report.ok:
                raise SetupError(report)

    async def _run(
        self,
        cluster: SetupCluster,
        stage: Stage,
        extra_args: Sequence[str],
        leaving: Sequence[str] | None = None,
    ) -> SetupReport:
        drained = {} if leaving is None else {"aioec_leaving": list(leaving)}
        run = PlaybookRun(
            cluster=cluster,
            playbook=stage.playbook,
            beside=tuple(self._own_playbooks),
            inventory=inventory(
                cluster, self._groups, self._variables, self._kind_variables
            ),
            targets=stage.targets,
            fresh=stage.fresh,
            kept=self._kept(cluster.id),
            forks=int(self._forks or min(len(stage.targets), MOST_FORKS)),
            variables={"aioec_cache": str(self._cache()), **drained},
            secrets=self._secrets,
            arguments=(*self._become_arguments(cluster), *extra_args),
            any_errors_fatal=self._any_errors_fatal,
            mitogen=await in_thread(self._uses_mitogen, cluster),
            timeout=self._timeout,
        )
        return await run.execute()

    def _uses_mitogen(self, cluster: SetupCluster) -> bool:
        used, reason = mitogen.wanted(self._mitogen, cluster)
        if not used:
            log.info("%s is set up without Mitogen: %s", cluster.name, reason)
        return used

    def _become_arguments(self, cluster: SetupCluster) -> tuple[str, ...]:
        wanted = self._become
        if wanted == "auto":
            wanted = cluster.capabilities.root
        return ("--become", "--become-user", self._become_user) if wanted else ()

    async def cleanup(self, cluster_id: str) -> None:
        """Remove the cached facts of a cluster that is gone, and what its runs left."""
        await in_thread(self._kept(cluster_id).remove)

    def _kept(self, cluster_id: str) -> ClusterFolder:
        root = self._work_dir or user_cache_path("aioelasticluster") / "setup"
        return ClusterFolder(root / cluster_id)

    def _cache(self) -> Path:
        return self._cache_dir or user_cache_path("aioelasticluster")


def _targets(cluster: SetupCluster, only: Collection[str] | None) -> tuple[str, ...]:
    names = [host.name for host in cluster.hosts]
    if only is None:
        return tuple(names)
    for name in only:
        if name not in names:
            raise ConfigurationError(
                "only",
                name,
                "the cluster has no alive host of this name",
                f"Its hosts are: {', '.join(names) or 'none'}",
            )
    return tuple(name for name in names if name in only)


def _kinds_inside(used: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the kinds in each group: one kind may yet have many hosts."""
    inside: dict[str, list[str]] = {}
    for kind, groups in used.items():
        for group in dict.fromkeys(map(catalogue.canonical, groups)):
            inside.setdefault(group, []).append(kind)
    return inside


def _existing(folders: Sequence[Path], name: str) -> list[str]:
    return [str(path / name) for path in folders if (path / name).is_file()]


def _check_tools() -> None:
    if importlib.util.find_spec("ansible") is None:
        raise ConfigurationError(
            "setup_provider",
            "ansible",
            "ansible-core is not installed beside this library",
            "Install it: pip install ansible-core",
        )
    if shutil.which("ssh") is None:
        raise ConfigurationError(
            "setup_provider",
            "ansible",
            "the command `ssh` is not found, and Ansible works through it",
            "Install OpenSSH's client",
        )
