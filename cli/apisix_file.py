"""The apisix.yaml of a standalone APISIX, read where it is."""

import re
from collections.abc import Mapping
from pathlib import Path

from controlplane.core.diff import LiveObject
from controlplane.core.objects import ObjectKey
from controlplane.errors import InvalidSpec, Problem
from controlplane.gateway.sections import live
from controlplane.gateway.yaml_nodes import Unreadable
from controlplane.gateway.yaml_text import read

_VARIABLE = re.compile(r"\$\{\{\s*(\w+)\s*(?::=(.*?))?\}\}", re.ASCII)


def objects_in(path: Path, environ: Mapping[str, str]) -> Mapping[ObjectKey, LiveObject]:
    """What the file holds, with the variables that APISIX would put in. Raises InvalidSpec."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise InvalidSpec(f"{path} cannot be read: {why}") from None
    try:
        return live(read(_with_variables(path, text, environ))[0])
    except Unreadable as error:
        raise InvalidSpec(f"{path} {error}", remedy="mend the file, and try again") from None


def _with_variables(path: Path, text: str, environ: Mapping[str, str]) -> str:
    missing: dict[str, None] = {}

    def value(found: re.Match[str]) -> str:
        name, default = found.groups()
        text = environ.get(name, default.strip() if default is not None else None)
        if text is None:
            missing[name] = None
        return text or ""

    filled = _VARIABLE.sub(value, text)
    if missing:
        raise InvalidSpec(
            f"{path} has variables that are not set here",
            remedy="export them as APISIX has them",
            problems=[Problem("", name) for name in missing],
        )
    return filled
