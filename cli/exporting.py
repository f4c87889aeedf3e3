"""A document as the text of a file that `ctl` reads back as the same document."""

import re
from typing import Any

from cli.rendering import as_yaml
from controlplane.core.secrets import MASK

Value = dict[str, Any]  # Any: a document as the service shows it

_SECRETS = {
    "gateways": ("admin_key", "redis_url"),
    "providers": ("api_key",),
    "rules": ("api_key",),
    "keys": ("key",),
}
_LOOKS_LIKE_A_REFERENCE = re.compile(r"\$\{(?=env:|file:)")


def as_file(document: Value, *, env: bool = False) -> str:
    """The text; with `env`, a reference to a variable stands for every stored secret."""
    written = _escaped(document)
    names = variables(document) if env else {}
    for (section, name, field), variable in names.items():
        for item in written[section]:
            if item["name"] == name:
                item[field] = f"${{env:{variable}}}"
    return as_yaml(written) + "\n"


def variables(document: Value) -> dict[tuple[str, str, str], str]:
    """A variable for each stored secret, by section and name of what it belongs to, and its field."""
    found: dict[tuple[str, str, str], str] = {}
    for section, fields in _SECRETS.items():
        for item in document.get(section, ()):
            for field in fields:
                if item.get(field) == MASK:
                    base = re.sub(r"[^A-Z0-9]", "_", f"{item['name']}_{field}".upper())
                    base = base if base[0].isalpha() else f"_{base}"
                    found[section, item["name"], field] = _free(base, found.values())
    return found


def _free(base: str, taken: Any) -> str:  # Any: a view of names
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def _escaped(value: Any) -> Any:  # Any: JSON
    """The value with every text that would be read as a reference written so that it is not."""
    if isinstance(value, str):
        return _LOOKS_LIKE_A_REFERENCE.sub("$${", value)
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
