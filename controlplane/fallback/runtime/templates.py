"""Texts with variables in them: `$name`, `${name}`, `${name ?? default}`."""

import re
from functools import lru_cache

from controlplane.fallback.lua_values import tostring
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.variables import Getter, variable

_VARIABLE = re.compile(r"(?<!\\)\$(?:\{\s*([^}]+?)\s*\}|([\w.]+))")
_DEFAULT = re.compile(r"\s*\?\?\s*")


class Template:
    """A compiled text. `resolve` also says how many of its variables had a value or a default."""

    __slots__ = ("_first", "_parts", "_variable", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[str | tuple[Getter, str | None]] = []
        position = 0
        for found in _VARIABLE.finditer(text):
            if found.start() > position:
                self._parts.append(text[position : found.start()])
            name, *defaults = _DEFAULT.split(found.group(1) or found.group(2))
            self._parts.append((variable(name), defaults[0] if defaults else None))
            position = found.end()
        if position < len(text):
            self._parts.append(text[position:])
        # By far the most texts are one variable, with a word before it or without.
        last = self._parts[-1] if self._parts else None
        first = "".join(part for part in self._parts[:-1] if isinstance(part, str))
        short = len(self._parts) <= 2 and isinstance(last, tuple) and not isinstance(self._parts[0], tuple)
        self._variable = last if isinstance(last, tuple) and (short or len(self._parts) == 1) else None
        self._first = first

    def resolve(self, context: Context) -> tuple[str, int]:
        """The text for this request, and how many variables were resolved."""
        if self._variable is not None:
            getter, default = self._variable
            value = getter(context)
            if value is None:
                value = default
                if value is None:
                    return self._first, 0
            return self._first + (value if isinstance(value, str) else tostring(value)), 1
        resolved = 0
        texts = []
        for part in self._parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            getter, default = part
            value = getter(context)
            if value is None:
                value = default
            if value is not None:
                resolved += 1
                texts.append(value if isinstance(value, str) else tostring(value))
        return "".join(texts), resolved

    def text_for(self, context: Context) -> str:
        return self.resolve(context)[0]


@lru_cache(maxsize=4096)
def template(text: str) -> Template:
    """The compiled template of a text."""
    return Template(text)
