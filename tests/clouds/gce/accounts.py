"""The accounts that the server knows, with keys that are good for nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.clouds.gce.refusals import RefusalError

#: What a token has to be for, one of these.
SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/compute",
    }
)

#: Whom Google's own libraries address, wherever they send an assertion.
_GOOGLE = "https://oauth2.googleapis.com/token"

_OAUTH = "urn:ietf:params:oauth"
_JWT_BEARER = f"{_OAUTH}:grant-type:jwt-bearer"
_EXCHANGE = f"{_OAUTH}:grant-type:token-exchange"

#: What somebody else's token is exchanged for if it is for another account's tokens.
_IAM_SCOPE = "https://www.googleapis.com/auth/iam"

#: The longest life (seconds) of an assertion, and how far clocks may be apart.
_LONGEST, _SKEW = 3600, 300


@dataclass(frozen=True)
class Account:
    """A service account of one project, and a user who may do the same there.

    So may whoever has the `subject`, a token of somebody else's.
    """

    project: str
    number: str
    email: str = ""
    key_id: str = field(default_factory=lambda: secrets.token_hex(20))
    client_id: str = field(default_factory=lambda: f"{secrets.randbelow(10**12)}.apps")
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    refresh_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    subject: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def __post_init__(self) -> None:
        email = f"tester@{self.project}.iam.gserviceaccount.com"
        object.__setattr__(self, "email", email)

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        """The key with which it signs."""
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def service_account(self, token_uri: str) -> dict[str, str]:
        """Return what its credentials file says."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": self.key_id,
            "private_key": pem.decode(),
            "client_email": self.email,
            "client_id": self.number,
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }

    def authorized_user(self, token_uri: str) -> dict[str, str]:
        """Return what the credentials file of a user says."""
        return {
            "type": "authorized_user",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
            "token_uri": token_uri,
            "quota_project_id": self.project,
            "universe_domain": "googleapis.com",
        }

    @property
    def audience(self) -> str:
        """For whom the tokens are that may be exchanged."""
        pool = "locations/global/workloadIdentityPools/tests/providers/tests"
        return f"//iam.googleapis.com/projects/{self.number}/{pool}"

    def external_account(self, url: str) -> dict[str, Any]:
        """Return what the credentials file of somebody else's program says."""
        return {
            "type": "external_account",
            "audience": self.audience,
            "subject_token_type": f"{_OAUTH}:token-type:jwt",
            "token_url": f"{url}/sts/token",
            "credential_source": {
                "url": f"{url}/subject/{self.project}",
                "headers": {"Metadata": "True"},
                "format": {"type": "json", "subject_token_field_name": "id_token"},
            },
            "universe_domain": "googleapis.com",
        }

    def impersonation(self, url: str) -> str:
        """Return where somebody else gets this account's tokens."""
        return (
            f"{url}/iam/v1/projects/-/serviceAccounts/{self.email}:generateAccessToken"
        )


FIRST = Account("first-project", "100000000001")
OTHER = Account("other-project", "100000000002")
ACCOUNTS = (FIRST, OTHER)


class GrantError(Exception):
    """No token is given; the answer is OAuth's."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.plain = {"error": error, "error_description": description}


@dataclass(slots=True)
class Tokens:
    """Gives tokens, and knows whose they are and until when."""

    clock: Callable[[], float]
    token_uri: str
    audience: str
    _given: dict[str, tuple[Account, float]] = field(default_factory=dict)
    _strangers: dict[str, Account] = field(default_factory=dict)
    _spared: frozenset[str] = frozenset()

    def granted(self, form: Mapping[str, str], seconds: float) -> dict[str, Any]:
        """Return a token for what a client shows; raise `GrantError`."""
        kind = form.get("grant_type", "")
        if kind == _JWT_BEARER:
            account = self._signer(form.get("assertion", ""))
        elif kind == _EXCHANGE:
            return self._exchanged(form, seconds)
        elif kind == "refresh_token":
            account = _refreshing(form)
        else:
            raise GrantError("unsupported_grant_type", f"Invalid grant_type: {kind}")
        return self.made(account, seconds)

    def _exchanged(self, form: Mapping[str, str], seconds: float) -> dict[str, Any]:
        """Return a token for somebody else's, or one that gets tokens."""
        for account in ACCOUNTS:
            if form.get("audience") == account.audience:
                break
        else:
            raise GrantError("invalid_target", "The target service is not known.")
        kinds = (form.get("subject_token_type"), form.get("requested_token_type"))
        wanted = [f"{_OAUTH}:token-type:{kind}" for kind in ("jwt", "access_token")]
        if [*kinds] != wanted:
            raise GrantError("invalid_request", f"Wrong types of tokens: {kinds}")
        if form.get("subject_token") != account.subject:
            raise GrantError("invalid_grant", "The subject token is not valid.")
        scopes = set(form.get("scope", "").split())
        if not scopes & (SCOPES | {_IAM_SCOPE}):
            raise GrantError("invalid_scope", "Invalid scope")
        told = self.made(account, seconds)
        if _IAM_SCOPE in scopes:
            self._strangers[told["access_token"]] = account
            del self._given[told["access_token"]]
        issued = f"{_OAUTH}:token-type:access_token"
        return {**told, "issued_token_type": issued}

    def impersonated(
        self, authorization: str, email: str, scopes: list[str], seconds: float
    ) -> dict[str, Any]:
        """Return an account's token for whom it lets act in its name."""
        token = authorization.partition(" ")[2]
        account = self._strangers.get(token) or self.holder(authorization)
        if account.email != email or not SCOPES.intersection(scopes):
            raise RefusalError(
                403,
                "forbidden",
                "Permission 'iam.serviceAccounts.getAccessToken' denied",
            )
        token = self.made(account, seconds)["access_token"]
        until = datetime.fromtimestamp(self.clock() + seconds, UTC)
        return {"accessToken": token, "expireTime": f"{until:%Y-%m-%dT%H:%M:%SZ}"}

    def begin(self) -> None:
        """Have later revocations spare the tokens that were given until now."""
        self._spared = frozenset(self._given)

    def revoke(self) -> None:
        """Take tokens back, before their time."""
        for token in self._given.keys() - self._spared:
            del self._given[token]

    def made(self, account: Account, seconds: float) -> dict[str, Any]:
        """Return a new token of an account."""
        token = f"ya29.{secrets.token_urlsafe(32)}"
        self._given[token] = account, self.clock() + seconds
        return {
            "access_token": token,
            "expires_in": int(seconds),
            "token_type": "Bearer",
        }

    def _signer(self, assertion: str) -> Account:
        """Return whose assertion it is, if it is right in every respect."""
        account = _claimed(assertion)
        if account is None:
            raise GrantError("invalid_grant", "Invalid grant: account not found")
        claims = _verified(assertion, account, [self.token_uri, _GOOGLE])
        if not SCOPES.intersection(str(claims.get("scope", "")).split()):
            raise GrantError(
                "invalid_scope", "Invalid OAuth scope or ID token audience"
            )
        if claims["exp"] - claims["iat"] > _LONGEST:
            raise GrantError("invalid_grant", "Token must be a short-lived token")
        return account

    def holder(self, authorization: str) -> Account:
        """Return who sends a request; refuse whom we do not know."""
        kind, _, token = authorization.partition(" ")
        if not token or kind.lower() != "bearer":
            raise RefusalError(
                401,
                "required",
                "Request is missing required authentication credential.",
                location="Authorization",
                locationType="header",
            )
        if token.count(".") == 2:
            return self._self_signed(token)
        account, expires = self._given.get(token, (FIRST, 0.0))
        if self.clock() >= expires:
            raise _bad_credentials()
        return account

    def _self_signed(self, token: str) -> Account:
        """Return whose token it is that was signed, but never asked for."""
        account = _claimed(token)
        if account is None:
            raise _bad_credentials()
        try:
            claims = _verified(token, account, None)
        except GrantError as fault:
            raise _bad_credentials() from fault
        scoped = SCOPES.intersection(str(claims.get("scope", "")).split())
        if not scoped and claims.get("aud") != self.audience:
            raise _bad_credentials()
        return account


def _bad_credentials() -> RefusalError:
    return RefusalError(
        401,
        "authError",
        "Request had invalid authentication credentials.",
        location="Authorization",
        locationType="header",
    )


def _refreshing(form: Mapping[str, str]) -> Account:
    for account in ACCOUNTS:
        if form.get("client_id") == account.client_id:
            if form.get("client_secret") != account.client_secret:
                raise GrantError(
                    "invalid_client", "The provided client secret is invalid."
                )
            if form.get("refresh_token") != account.refresh_token:
                raise GrantError("invalid_grant", "Bad Request")
            return account
    raise GrantError("invalid_client", "The OAuth client was not found.")


def _claimed(token: str) -> Account | None:
    """Return who a token says that it is from."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.InvalidTokenError:
        return None
    return next((one for one in ACCOUNTS if one.email == issuer), None)


def _verified(
    token: str, account: Account, audience: list[str] | None
) -> dict[str, Any]:
    """Return what a token says; raise `GrantError` if it is not the account's."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            account.key.public_key(),
            algorithms=["RS256"],
            audience=audience,
            leeway=_SKEW,
            options={"require": ["exp", "iat"], "verify_aud": audience is not None},
        )
    except jwt.InvalidSignatureError as fault:
        raise GrantError("invalid_grant", "Invalid JWT Signature.") from fault
    except jwt.InvalidTokenError as fault:
        raise GrantError("invalid_grant", f"Invalid JWT: {fault}") from fault
    return claims
