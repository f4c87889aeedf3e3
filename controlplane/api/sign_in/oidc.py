"""OpenID Connect: the code flow with PKCE, against any provider that publishes its configuration."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import jwt
import orjson

from controlplane.errors import CannotUnseal, Unauthorized, Unavailable
from controlplane.settings import Settings

_TIMEOUT_S = 10.0
_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "EdDSA")
_LEEWAY_S = 60

Json = dict[str, Any]  # Any: what the provider answers; each value is checked where it is used


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that has begun; its browser keeps it, sealed, until it comes back."""

    state: str
    nonce: str
    verifier: str

    def text(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def of_text(cls, text: str) -> "Pending":
        try:
            return cls(**orjson.loads(text))
        except (ValueError, TypeError):
            raise CannotUnseal("this is no sign-in of ours") from None


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider says has signed in."""

    issuer: str
    subject: str
    email: str | None
    """None unless the provider has verified it."""


class IdentityProvider:
    """The provider of SLUICE_OIDC_ISSUER. Raises Unauthorized and Unavailable."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str | None,
        redirect_url: str,
        client: Callable[[], httpx.AsyncClient] = lambda: httpx.AsyncClient(timeout=_TIMEOUT_S),
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_url = redirect_url
        self._client = client
        self._configuration: Json | None = None
        self._keys: dict[str, Any] = {}  # Any: PyJWT's keys
        self._asking = asyncio.Lock()

    @classmethod
    def of(cls, settings: Settings) -> "IdentityProvider | None":
        """The provider that the settings name, if they name one."""
        if settings.oidc_issuer is None or settings.oidc_client_id is None:
            return None
        secret = settings.oidc_client_secret
        return cls(
            settings.oidc_issuer,
            settings.oidc_client_id,
            secret.get_secret_value() if secret else None,
            f"{settings.browser_url}/auth/oidc/callback",
        )

    async def begin(self) -> tuple[str, Pending]:
        """Where to send the browser, and what it has to bring back."""
        configuration = await self._configured()
        pending = Pending(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(pending.verifier.encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_url,
            "scope": "openid email profile",
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        address = str(configuration["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}", pending

    async def finish(self, code: str, pending: Pending) -> Identity:
        """Who has come back with this code."""
        configuration = await self._configured()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_url,
            "client_id": self._client_id,
            "code_verifier": pending.verifier,
        }
        if self._client_secret is not None:
            form["client_secret"] = self._client_secret
        answer = await self._ask("POST", str(configuration["token_endpoint"]), data=form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _refused("it gave no ID token")
        claims = await self._verified(token)
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), pending.nonce.encode()):
            raise _refused("its ID token belongs to another sign-in")
        verified = claims.get("email_verified") is True and isinstance(claims.get("email"), str)
        return Identity(self._issuer, str(claims["sub"]), claims["email"] if verified else None)

    async def _verified(self, token: str) -> Json:
        try:
            key = await self._key(jwt.get_unverified_header(token))
            claims: Json = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._client_id,
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise _refused(f"its ID token does not hold ({type(error).__name__})") from None
        if (
            isinstance(claims["aud"], list)
            and len(claims["aud"]) > 1
            and claims.get("azp") != self._client_id
        ):
            raise _refused("its ID token was made for somebody else")
        return claims

    async def _key(self, header: Json) -> Any:  # Any: PyJWT's keys
        """The key that signed; asked for anew when the provider has made another one."""
        name = str(header.get("kid", ""))
        if name not in self._keys:
            configuration = await self._configured()
            published = await self._ask("GET", str(configuration["jwks_uri"]))
            found = jwt.PyJWKSet.from_dict(published)
            self._keys = {str(key.key_id or ""): key for key in found.keys}
        if name not in self._keys:
            raise _refused("its ID token was signed with a key that it does not publish")
        return self._keys[name]

    async def _configured(self) -> Json:
        async with self._asking:
            if self._configuration is None:
                address = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
                found = await self._ask("GET", address)
                if found.get("issuer") != self._issuer:
                    raise Unavailable(
                        f"the identity provider calls itself {found.get('issuer')!r}",
                        remedy="set SLUICE_OIDC_ISSUER to exactly that, if it is the right one",
                    )
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    if not isinstance(found.get(name), str):
                        raise Unavailable(f"the identity provider's configuration has no {name}")
                self._configuration = found
            return self._configuration

    async def _ask(self, method: str, address: str, **request: Any) -> Json:  # Any: httpx's own options
        try:
            async with self._client() as client:
                answer = await client.request(method, address, **request)
                value = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(
                f"the identity provider cannot be reached ({type(error).__name__})",
                remedy="try again in a moment; sign in with a token meanwhile",
            ) from None
        except ValueError:
            raise Unavailable("the identity provider answered no JSON") from None
        if answer.status_code >= 500:
            raise Unavailable(f"the identity provider answered {answer.status_code}")
        if answer.status_code >= 400 or not isinstance(value, dict):
            raise _refused(f"it answered {answer.status_code}")
        return value


def _refused(why: str) -> Unauthorized:
    return Unauthorized(f"the identity provider's answer was not accepted: {why}", remedy="sign in again")
