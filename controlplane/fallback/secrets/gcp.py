"""Google Secret Manager: a secret's latest version, or a field of it where it is JSON."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from controlplane.clock import Clock
from controlplane.fallback.secrets.asking import Asker, SecretUnavailable
from controlplane.fallback.secrets.google import access_token
from controlplane.fallback.secrets.references import field_of

_ENTRIES = "https://secretmanager.googleapis.com/v1"


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
    token, _ = await access_token(account, asker, clock, verify=verify)
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


def _from_file(path: str) -> Mapping[str, Any]:
    try:
        account = orjson.loads(Path(path).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        raise SecretUnavailable(f"failed to read configuration, file: {path}") from None
    if not isinstance(account, dict) or not {"client_email", "private_key", "project_id"} <= account.keys():
        raise SecretUnavailable(f"config parse failure, file: {path}")
    return account
