"""What a cloud offers and what set-up needs; compared before anything is launched."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a cloud can do; asked before anything is touched.

    `tokens`: repeating a launch with the same token launches nothing new.
    `root`, `systemd`: what set-up finds on the instances. `python`: the interpreter
    that set-up must use on them, where it should not look for one.
    """

    pause: bool = False
    user_data: bool = True
    cloud_host_keys: bool = False
    tokens: bool = True
    root: bool = True
    systemd: bool = True
    python: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What set-up needs to find on the instances, and which of its parts needs it.

    Each text is empty (not needed) or names the parts, such as `group slurm_master`.
    """

    root: str = ""
    systemd: str = ""
