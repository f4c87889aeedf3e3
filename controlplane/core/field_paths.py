"""What the places in a declaration are called: `queues.support.limits[0].tokens`."""

import re
import unicodedata
from collections.abc import Sequence

Step = int | str
NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,52}[A-Za-z0-9])?$"
NAMED = ("gateways", "tiers", "providers", "tenants", "queues", "rules", "keys")
"""The lists whose entries are called by their names."""

_NAME = re.compile(NAME_PATTERN)


def visible(text: str, longest: int = 120) -> str:
    """The text, fit for any page, log or JSON: what cannot be shown is written as an escape."""
    shown = text if len(text) <= longest else text[:longest] + "…"
    return "".join(
        char if unicodedata.category(char) not in ("Cc", "Cs", "Cf", "Zl", "Zp") else f"\\u{ord(char):04x}"
        for char in shown
    )


def field_path(loc: Sequence[Step], data: object) -> str:
    """A place in `data`; a declared object is called by its name: `queues.support.limits[0].tokens`."""
    path = ""
    for depth, step in enumerate(loc):
        if step == "[key]":
            continue
        if isinstance(step, int):
            data = data[step] if isinstance(data, list | tuple) and step < len(data) else None
            name = data.get("name") if isinstance(data, dict) and depth == 1 and loc[0] in NAMED else None
            path += f".{name}" if isinstance(name, str) and _NAME.fullmatch(name) else f"[{step}]"
        elif is_tag(step, data):
            continue
        else:
            data = data.get(step) if isinstance(data, dict) else None
            path += f".{visible(step)}"
    return path.removeprefix(".")


def is_tag(step: Step, data: object) -> bool:
    """Whether the step only says which of several models a value was taken for: its name says so, too."""
    return isinstance(data, dict) and step not in data and data.get("name") == step
