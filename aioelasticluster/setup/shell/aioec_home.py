"""Runs inside ansible-playbook: on hosts without root, `~` is the session's HOME.

Ansible looks a login's home up in the host's list of users. An instance of
`LocalCloudProvider` accepts any login and has a home of its own, which that list does
not know: files would end up in the real home of whoever bears that name.
"""

from __future__ import annotations

from ansible.plugins.shell.sh import ShellModule as PosixShell

DOCUMENTATION = """
name: aioec_home
short_description: a POSIX shell in which ~ is $HOME
description:
  - Expands C(~) and the login's own C(~name) to what the session has as C(HOME).
extends_documentation_fragment:
  - shell_common
options:
  login:
    description: The user that the session belongs to.
    default: ""
    vars:
      - name: ansible_user
"""


class ShellModule(PosixShell):  # type: ignore[misc]  # Ansible is not annotated
    """A POSIX shell in which `~` is HOME."""

    SHELL_FAMILY = "aioec_home"

    def expand_user(self, user_home_path: str, username: str = "") -> str:
        """Return a command that prints the folder which `~` or `~name` stands for."""
        if user_home_path in ("~", f"~{self.get_option('login')}"):
            return "echo ~"
        return str(super().expand_user(user_home_path, username))
