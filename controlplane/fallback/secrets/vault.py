"""HashiCorp Vault: a field of an entry of a key-value engine."""

import posixpath
from collections.abc import Mapping
from typing import Any

import orjson

from controlplane.fallback.secrets.asking import Asker, SecretUnavailable


async def read(conf: Mapping[str, Any], key: str, asker: Asker) -> str:
    """The secret of a key `PATH/FIELD`, below the prefix of the configuration."""
    path, slash, field = key.rpartition("/")
    if not slash or not path or not field:
        raise SecretUnavailable(f"error key format, key: {key}")
    headers = {"X-Vault-Token": conf["token"]}
    if "namespace" in conf:
        headers["X-Vault-Namespace"] = conf["namespace"]
    url = conf["uri"] + posixpath.normpath(f"/v1/{conf['prefix']}/{path}")
    status, body = await asker.ask("GET", url, headers, b"")
    try:
        data = orjson.loads(body).get("data")
    except (orjson.JSONDecodeError, AttributeError):
        data = None
    if not isinstance(data, dict):
        raise SecretUnavailable(f"vault answered {status} without data")
    if not isinstance(data.get(field), str):
        raise SecretUnavailable(f"vault has no {field} at {path}")
    return str(data[field])
