"""The embedded cloud: instances are SSH server processes of the current user."""

from aioelasticluster.providers.local.provider import LocalCloudProvider

__all__ = ["LocalCloudProvider"]
