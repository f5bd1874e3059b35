"""OpenStack: identical nodes in one request, found again by their tags."""

from aioelasticluster.providers.openstack.provider import OpenStackCloudProvider

__all__ = ["OpenStackCloudProvider"]
