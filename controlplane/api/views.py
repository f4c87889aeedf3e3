"""Stored objects as the API shows them."""

from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from litestar import Response
from pydantic import SecretStr

from controlplane.core.secrets import MASK
from controlplane.core.spec import KeySpec
from controlplane.store.records import GatewayStatus, Stored

Shown = dict[str, Any]  # Any: JSON
_PLAIN = (str, int, bool, float)


def object_view(stored: Stored[Any], **more: Any) -> Shown:
    """An object with its id, version and times. Secrets read `***`."""
    spec = {name: _plain(value) for name, value in stored.spec.model_dump(mode="python").items()}
    if isinstance(stored.spec, KeySpec):
        more["old_texts_until"] = [moment.isoformat() for moment in stored.old_texts_until]
        more["last_used_at"] = _plain(stored.last_used_at)
    return {
        **spec,
        "id": str(stored.id),
        "source": stored.source,
        "version": stored.version,
        "created_at": stored.created_at.isoformat(),
        "updated_at": stored.updated_at.isoformat(),
        **more,
    }


def gateway_view(stored: Stored[Any], status: GatewayStatus, *, whole: bool) -> Shown:
    """A gateway and how it stands. A tenant's people learn no more than whether it is up to date."""
    shown = object_view(stored, status=status_view(status))
    if not whole:
        shown |= {"admin_url": MASK, "admin_key": None, "redis_url": None, "file": None}
        shown |= {"labels": {}, "plugins": []}
        shown["status"] |= {"error": None, "leader": "", "objects": {}, "writes": 0}
    return shown


def status_view(status: GatewayStatus) -> Shown:
    return {name: _plain(value) for name, value in asdict(status).items()}


def record_view(record: Any) -> Shown:  # Any: a dataclass of the store or the core
    # `fields` does the same, and much more slowly: there may be thousands of records.
    return {name: _plain(getattr(record, name)) for name in record.__dataclass_fields__}


def reply(body: Any, *, status: int = 200, **headers: str) -> Response[bytes]:
    """A JSON reply; header names are written with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(orjson.dumps(body), status_code=status, media_type="application/json", headers=named)


def _plain(value: Any) -> Any:
    """JSON values only. A secret that is set is `***` in the store already."""
    if value is None or type(value) in _PLAIN:
        return value
    if is_dataclass(value):
        return record_view(value)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return value.value if isinstance(value, Enum) else value
