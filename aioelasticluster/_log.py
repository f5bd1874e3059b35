"""The library's only logger: silent until its user adds a handler."""

from __future__ import annotations

import logging

log = logging.getLogger("aioelasticluster")
log.addHandler(logging.NullHandler())
