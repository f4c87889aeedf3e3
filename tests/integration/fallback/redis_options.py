"""How a plugin's configuration names the Redis of a URL."""

from typing import Any
from urllib.parse import unquote, urlsplit


def options_of(url: str, **changes: Any) -> dict[str, Any]:
    parts = urlsplit(url)
    options: dict[str, Any] = {
        "redis_host": parts.hostname,
        "redis_port": parts.port,
        "redis_database": int(parts.path.lstrip("/") or 0),
    }
    if parts.password:
        options["redis_password"] = unquote(parts.password)
    return {**options, **changes}
