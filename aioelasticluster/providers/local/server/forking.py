"""Processes that the parent forks: instances and undertakers."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection

from aioelasticluster.providers.local.server.descriptors import close_all_but

#: What the parent listens to and its children do not.
_SIGNALS = (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def fork(work: Callable[[], None], keep: Collection[int] = ()) -> int:
    """Run work in a new process that has none of our descriptors but `keep`.

    Returns its pid. Our objects live on there untouched: it never returns from here.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        close_all_but({0, 1, 2, *keep})
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
