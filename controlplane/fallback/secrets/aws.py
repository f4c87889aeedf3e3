"""AWS Secrets Manager: a secret, or a field of one that is JSON."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from controlplane.clock import Clock
from controlplane.fallback.secrets.asking import Asker, SecretUnavailable
from controlplane.fallback.secrets.references import field_of

_ALGORITHM = "AWS4-HMAC-SHA256"


async def read(conf: Mapping[str, Any], key: str, asker: Asker, clock: Clock) -> str:
    """The secret of a key. Names may have slashes: the longest name that there is, then the field."""
    name, field = key, ""
    while name:
        secret = await _secret(conf, name, asker, clock)
        if secret is not None:
            found = field_of(secret, field) if field else secret
            if found is None:
                raise SecretUnavailable(f"the secret {name} has no field {field}")
            return found
        name, _, last = name.rpartition("/")
        field = f"{last}/{field}" if field else last
    raise SecretUnavailable(f"can't find main key, key: {key}")


async def _secret(conf: Mapping[str, Any], name: str, asker: Asker, clock: Clock) -> str | None:
    region = conf.get("region", "us-east-1")
    url = conf.get("endpoint_url") or f"https://secretsmanager.{region}.amazonaws.com"
    body = orjson.dumps({"SecretId": name, "VersionStage": "AWSCURRENT"})
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "secretsmanager.GetSecretValue",
    }
    if conf.get("session_token"):
        headers["X-Amz-Security-Token"] = conf["session_token"]
    when = datetime.fromtimestamp(clock.now(), UTC)
    signed = sign(
        "POST", url, headers, body, (conf["access_key_id"], conf["secret_access_key"]), region, when
    )
    status, answer = await asker.ask("POST", url, signed, body)
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        value = {}
    if status == 200 and isinstance(value, dict) and isinstance(value.get("SecretString"), str):
        return str(value["SecretString"])
    if isinstance(value, dict) and "ResourceNotFoundException" in str(value.get("__type")):
        return None
    raise SecretUnavailable(f"invalid status code {status}")


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    keys: tuple[str, str],
    region: str,
    when: datetime,
    service: str = "secretsmanager",
) -> dict[str, str]:
    """The headers with what AWS wants to see in addition: the time and a signature (version 4)."""
    parts = urlsplit(url)
    stamp = when.strftime("%Y%m%dT%H%M%SZ")
    known = {name.lower(): value.strip() for name, value in headers.items()}
    known.update({"host": parts.netloc, "x-amz-date": stamp})
    names = ";".join(sorted(known))
    lines = "".join(f"{name}:{known[name]}\n" for name in sorted(known))
    digest = hashlib.sha256(body).hexdigest()
    request = f"{method}\n{parts.path or '/'}\n{parts.query}\n{lines}\n{names}\n{digest}"
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    secret = f"AWS4{keys[1]}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, text.encode(), "sha256").hex()
    authorization = f"{_ALGORITHM} Credential={keys[0]}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "X-Amz-Date": stamp, "Authorization": authorization}
