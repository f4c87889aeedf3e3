"""Access tokens of Google's service accounts."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controlplane.clock import Clock
from controlplane.fallback.secrets.asking import Asker, SecretUnavailable

_TOKENS = "https://oauth2.googleapis.com/token"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LASTS_S = 3600.0


async def access_token(
    account: Mapping[str, Any], asker: Asker, clock: Clock, *, verify: bool = True
) -> tuple[str, float]:
    """A token of a service account, and for how many seconds it is good."""
    url = account.get("token_uri", _TOKENS)
    form = urlencode({"grant_type": _GRANT, "assertion": _assertion(account, url, int(clock.now()))})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, body = await asker.ask("POST", url, headers, form.encode(), verify=verify)
    try:
        answer = orjson.loads(body)
        return str(answer["access_token"]), float(answer.get("expires_in", _LASTS_S))
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        raise SecretUnavailable(f"failed to get google oauth token: status {status}") from None


def _assertion(account: Mapping[str, Any], audience: str, now: int) -> str:
    """What proves to Google that we are the service account: a JSON Web Token signed with its key."""
    scope = account.get("scope", _SCOPE)
    claims = {
        "iss": account["client_email"],
        "aud": audience,
        "scope": scope if isinstance(scope, str) else " ".join(scope),
        "iat": now,
        "exp": now + 3600,
    }
    text = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    try:
        key = load_pem_private_key(str(account["private_key"]).encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SecretUnavailable("the private key of the service account cannot be read") from None
    if not isinstance(key, RSAPrivateKey):
        raise SecretUnavailable("the private key of the service account is no RSA key")
    return f"{text}.{_url_safe(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def _part(value: Mapping[str, Any]) -> str:
    return _url_safe(orjson.dumps(value))


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
