"""References: `$env://NAME`, `$env://NAME/FIELD` and `$secret://MANAGER/ID/KEY`."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

ENV, SECRET = "$env://", "$secret://"


def is_reference(value: Any) -> bool:  # any JSON value
    """A text that stands for a secret kept elsewhere."""
    return isinstance(value, str) and (value.startswith(SECRET) or value.lower().startswith(ENV))


def references_in(value: Any) -> Iterator[str]:  # any JSON value
    """Every `$secret://…` inside a value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from references_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from references_in(item)
    elif isinstance(value, str) and value.startswith(SECRET):
        yield value


def from_environment(text: str, environ: Mapping[str, str]) -> str | None:
    """What `$env://NAME` stands for, or a field of it where it is JSON; None where there is nothing."""
    if not text.lower().startswith(ENV):
        return None
    name, _, field = text[len(ENV) :].partition("/")
    value = environ.get(name)
    return value if value is None or not field else field_of(value, field)


def field_of(text: str, name: str) -> str | None:
    """A text among the fields of a JSON object, or None."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None
