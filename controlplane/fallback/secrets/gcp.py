"""Google Secret Manager: a secret's latest version, or a field of it where it is JSON."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
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
from controlplane.fallback.secrets.references import field_of

_TOKENS = "https://oauth2.googleapis.com/token"
_ENTRIES = "https://secretmanager.googleapis.com/v1"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def read(conf: Mapping[str, Any], key: str, asker: Asker, clock: Clock) -> str:
    """The secret of a key `NAME` or `NAME/FIELD`."""
    name, _, field = key.partition("/")
    if not name:
        raise SecretUnavailable(f"can't find main key, key: {key}")
    account: Mapping[str, Any]
    if "auth_config" in conf:
        account = conf["auth_config"]
    else:
        account = await asyncio.to_thread(_from_file, conf["auth_file"])
    verify = conf.get("ssl_verify", True)
    token = await _token(account, asker, clock, verify=verify)
    entries = account.get("entries_uri", _ENTRIES)
    url = f"{entries}/projects/{account['project_id']}/secrets/{name}/versions/latest:access"
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    status, body = await asker.ask("GET", url, headers, b"", verify=verify)
    try:
        secret = base64.b64decode(orjson.loads(body)["payload"]["data"]).decode()
    except (orjson.JSONDecodeError, KeyError, TypeError, binascii.Error, UnicodeDecodeError):
        raise SecretUnavailable(f"the secret manager answered {status} without a secret") from None
    found = field_of(secret, field) if field else secret
    if found is None:
        raise SecretUnavailable(f"the secret {name} has no field {field}")
    return found


async def _token(account: Mapping[str, Any], asker: Asker, clock: Clock, *, verify: bool) -> str:
    url = account.get("token_uri", _TOKENS)
    form = urlencode({"grant_type": _GRANT, "assertion": _assertion(account, url, int(clock.now()))})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, body = await asker.ask("POST", url, headers, form.encode(), verify=verify)
    try:
        return str(orjson.loads(body)["access_token"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
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


def _from_file(path: str) -> Mapping[str, Any]:
    try:
        account = orjson.loads(Path(path).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        raise SecretUnavailable(f"failed to read configuration, file: {path}") from None
    if not isinstance(account, dict) or not {"client_email", "private_key", "project_id"} <= account.keys():
        raise SecretUnavailable(f"config parse failure, file: {path}")
    return account


def _part(value: Mapping[str, Any]) -> str:
    return _url_safe(orjson.dumps(value))


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
