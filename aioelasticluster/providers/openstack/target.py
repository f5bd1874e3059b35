"""Which OpenStack cloud, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

#: What is never recorded.
_SECRET = frozenset({"password", "application_credential_secret", "token"})

#: What the SDK's configuration calls ours, where it has another name.
_AUTH = (
    "auth_url",
    "username",
    "password",
    "project_name",
    "project_id",
    "user_domain_name",
    "project_domain_name",
    "user_domain_id",
    "project_domain_id",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    "token",
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """The arguments that lead to a cloud; what is empty the SDK finds itself."""

    cloud: str = ""
    auth_url: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    project_name: str = ""
    project_id: str = ""
    user_domain_name: str = ""
    project_domain_name: str = ""
    user_domain_id: str = ""
    project_domain_id: str = ""
    application_credential_id: str = ""
    application_credential_name: str = ""
    application_credential_secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    region_name: str = ""
    interface: str = ""
    cacert: str = ""
    compute_endpoint: str = ""

    @property
    def settings(self) -> Mapping[str, str]:
        """What is given and may be recorded."""
        return {name: value for name, value in self._given() if name not in _SECRET}

    @property
    def complete(self) -> bool:
        """Whether it says all by itself: then the environment is not asked."""
        secret = self.password or self.application_credential_secret or self.token
        return bool(self.auth_url and secret)

    def configuration(self) -> dict[str, Any]:
        """Return the arguments for `openstack.connect`."""
        given = dict(self._given())
        auth = {name: given.pop(name) for name in _AUTH if name in given}
        if endpoint := given.pop("compute_endpoint", ""):
            given["compute_endpoint_override"] = endpoint
        if "cloud" in given and not auth:
            return dict(given)
        configuration: dict[str, Any] = {**given, "auth": auth}
        if "application_credential_secret" in auth:
            configuration["auth_type"] = "v3applicationcredential"
        elif "token" in auth:
            configuration["auth_type"] = "v3token"
        elif "password" in auth:
            for domain in ("user_domain", "project_domain"):
                if f"{domain}_id" not in auth:
                    auth.setdefault(f"{domain}_name", "Default")
        if self.complete and not self.cloud:
            configuration |= {"load_yaml_config": False, "load_envvars": False}
        return configuration

    def _given(self) -> list[tuple[str, str]]:
        return [
            (part.name, value)
            for part in fields(self)
            if (value := getattr(self, part.name))
        ]
