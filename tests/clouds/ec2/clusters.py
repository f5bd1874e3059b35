"""Clusters on EC2's test server: quick to poll."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import BotoCloudProvider, Cluster
from tests.clouds.clusters import cluster_of
from tests.clouds.ec2.running import Ec2Endpoint


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll and repeat soon, with full buckets: other tests have used the account."""
    monkeypatch.setattr("aioelasticluster.providers.ec2.provider.POLL_INTERVAL", 0.05)
    monkeypatch.setattr("aioelasticluster.providers.ec2.limits._all", {})
    monkeypatch.setattr("aioelasticluster.providers.repeating.PAUSES", (0.05, 0.5))


def provider_for(
    ec2: Ec2Endpoint, *, other: bool = False, **options: Any
) -> BotoCloudProvider:
    """Return a provider of the first account, or the `other`, with short pauses."""
    keys = (
        (ec2.other_access_key, ec2.other_secret_key)
        if other
        else (ec2.access_key, ec2.secret_key)
    )
    given = dict(zip(("access_key", "secret_key"), keys, strict=True)) | options
    provider = BotoCloudProvider(ec2.url, given.pop("region", ec2.region), **given)
    provider.settle_window = 0.2
    provider.poll_pauses = provider.end_pauses = (0.05, 0.2)
    return provider


def cluster_on(
    ec2: Ec2Endpoint,
    folder: Path,
    count: int = 3,
    *,
    provider: BotoCloudProvider | None = None,
    **how: Any,
) -> Cluster:
    """Return a cluster, as `cluster_of` does, by default of the first account."""
    return cluster_of(provider or provider_for(ec2), ec2, folder, count, **how)
