"""Containers with systemd and OpenSSH as instances, through the Docker Engine API."""

from aioelasticluster.providers.containers.provider import ContainerCloudProvider

__all__ = ["ContainerCloudProvider"]
