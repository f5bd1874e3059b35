"""Clusters on Compute Engine's test server: quick to poll."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import Cluster, GoogleCloudProvider
from tests.clouds.clusters import cluster_of
from tests.clouds.gce.running import GceEndpoint


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat requests soon."""
    monkeypatch.setattr("aioelasticluster.providers.repeating.PAUSES", (0.05, 0.5))


def provider_for(
    gce: GceEndpoint, folder: Path, *, other: bool = False, **options: Any
) -> GoogleCloudProvider:
    """Return a provider of the first project, or the `other`, with short pauses.

    Its credentials are written into the folder.
    """
    files = gce.write_credentials(folder)
    given: dict[str, Any] = {
        "project_id": gce.other_project if other else gce.project,
        "zone": gce.zone,
        "credentials": str(files.other if other else files.first),
        "api_root": gce.api_root,
    }
    return quick(GoogleCloudProvider(**given | options))


def quick(provider: GoogleCloudProvider) -> GoogleCloudProvider:
    """Return a provider that does not wait long."""
    provider.settle_window = 0.2
    provider.poll_pauses = provider.end_pauses = (0.05, 0.2)
    return provider


def cluster_on(
    gce: GceEndpoint,
    folder: Path,
    count: int = 3,
    *,
    provider: GoogleCloudProvider | None = None,
    **how: Any,
) -> Cluster:
    """Return a cluster, as `cluster_of` does, by default of the first project."""
    return cluster_of(provider or provider_for(gce, folder), gce, folder, count, **how)
