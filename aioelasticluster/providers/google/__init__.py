"""Google Compute Engine: a batch as one bulk request with names of its own."""

from aioelasticluster.providers.google.provider import GoogleCloudProvider

__all__ = ["GoogleCloudProvider"]
