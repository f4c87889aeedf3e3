"""Texts with variables in them: `$name`, `${name}`, `${name ?? default}`."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from controlplane.fallback.lua_values import tostring
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.variables import Getter, header_of, variable

_VARIABLE = re.compile(r"(?<!\\)\$(?:\{\s*([^}]+?)\s*\}|([\w.]+))")
_DEFAULT = re.compile(r"\s*\?\?\s*")

# A variable and its default; a text is itself.
_Part = str | tuple[Getter, str | None]


class Template:
    """A compiled text.

    `resolve` gives the text for a request and how many of its variables had a value or a default. `needs` is
    the request header without which that is none; None where it is not one header that decides.
    """

    __slots__ = ("needs", "resolve", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        found = list(_VARIABLE.finditer(text))
        names = [_DEFAULT.split(one.group(1) or one.group(2)) for one in found]
        self.needs = header_of(names[0][0]) if len(names) == 1 and len(names[0]) == 1 else None
        parts: list[_Part] = []
        position = 0
        for one, (name, *defaults) in zip(found, names, strict=True):
            if one.start() > position:
                parts.append(text[position : one.start()])
            parts.append((variable(name), defaults[0] if defaults else None))
            position = one.end()
        if position < len(text):
            parts.append(text[position:])
        self.resolve = _resolver(parts)

    def text_for(self, context: Context) -> str:
        return self.resolve(context)[0]


Resolver = Callable[[Context], tuple[str, int]]


def _resolver(parts: Sequence[_Part]) -> Resolver:
    """By far the most texts are constant, or end in their only variable: those need no list of parts."""
    match parts:
        case []:
            return lambda context: ("", 0)
        case [str() as text]:
            return lambda context: (text, 0)
        case [(getter, default)]:
            return _ending_in("", getter, default)
        case [str() as text, (getter, default)]:
            return _ending_in(text, getter, default)
        case _:
            return _joined(parts)


def _ending_in(start: str, getter: Getter, default: str | None) -> Resolver:
    given = (start, 0) if default is None else (start + default, 1)

    def resolve(context: Context) -> tuple[str, int]:
        value = getter(context)
        if value is None:
            return given
        return start + (value if isinstance(value, str) else tostring(value)), 1

    return resolve


def _joined(parts: Sequence[_Part]) -> Resolver:
    def resolve(context: Context) -> tuple[str, int]:
        resolved = 0
        texts = []
        for part in parts:
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

    return resolve


@lru_cache(maxsize=4096)
def template(text: str) -> Template:
    """The compiled template of a text."""
    return Template(text)
