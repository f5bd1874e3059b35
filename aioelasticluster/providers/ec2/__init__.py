"""EC2, and what speaks its API: a hundred nodes in a handful of requests."""

from aioelasticluster.providers.ec2.provider import BotoCloudProvider

__all__ = ["BotoCloudProvider"]
