"""Regular expressions and replacements as gateways write them (PCRE), for Python's engine."""

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

_GROUP_NAME = re.compile(r"\(\?<(?![=!])")
_TOKEN = re.compile(r"\$(?:\$|(\d+)|\{(\d+)\}|(.?))", re.DOTALL)
_PLAIN = re.RegexFlag(0)
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_KNOWN = frozenset("adDijJmosuUx")

Replacement: TypeAlias = Callable[[Sequence[str]], str]


class InvalidPattern(ValueError):
    """No pattern, or no replacement, that a gateway would take."""


def pattern(text: str, flags: re.RegexFlag = _PLAIN) -> re.Pattern[str]:
    """The compiled pattern. Raises InvalidPattern."""
    try:
        return re.compile(_GROUP_NAME.sub("(?P<", text), flags)
    except re.error as error:
        raise InvalidPattern(str(error)) from None


def replacement(text: str) -> Replacement:
    """What makes the new text of a match's groups, the whole match first. Raises InvalidPattern.

    `$1` and `${1}` are groups, `$0` is the whole match and `$$` a dollar sign. A group that the match
    does not have is empty.
    """
    parts: list[str | int] = []
    position = 0
    for found in _TOKEN.finditer(text):
        parts.append(text[position : found.start()])
        position = found.end()
        number = found.group(1) or found.group(2)
        if number is not None:
            parts.append(int(number))
        elif found.group(3) is None:
            parts.append("$")
        else:
            raise InvalidPattern("failed to compile the replacement template")
    parts.append(text[position:])

    def make(groups: Sequence[str]) -> str:
        return "".join(
            [part if isinstance(part, str) else groups[part] if part < len(groups) else "" for part in parts]
        )

    return make


class Substitution:
    """One search and replace over bytes. Raises InvalidPattern."""

    def __init__(self, regex: str, new: str, options: str, *, everywhere: bool) -> None:
        unknown = next((flag for flag in options if flag not in _KNOWN), None)
        if unknown is not None:
            raise InvalidPattern(f'unknown flag "{unknown}" (flags "{options}")')
        flags = re.ASCII
        for flag in _FLAGS.keys() & set(options):
            flags |= _FLAGS[flag]
        # Without `u` a gateway looks at single bytes, which Latin-1 makes of a text.
        self._wide = "u" in options or "U" in options
        self._pattern = pattern(self._text(regex.encode()), flags)
        self._new = replacement(self._text(new.encode()))
        self._everywhere = everywhere
        self._anchored = "a" in options

    def __call__(self, data: bytes) -> bytes:
        text = self._text(data)
        changed = self._in_a_row(text) if self._anchored else self._anywhere(text)
        return changed.encode("utf-8", "surrogateescape") if self._wide else changed.encode("latin-1")

    def _text(self, data: bytes) -> str:
        return data.decode("utf-8", "surrogateescape") if self._wide else data.decode("latin-1")

    def _anywhere(self, text: str) -> str:
        return self._pattern.sub(self._replaced, text, count=0 if self._everywhere else 1)

    def _in_a_row(self, text: str) -> str:
        """Matches that begin at the start, and each where the one before it ended."""
        made: list[str] = []
        position = 0
        while (found := self._pattern.match(text, position)) and found.end() > position:
            made.append(self._replaced(found))
            position = found.end()
            if not self._everywhere:
                break
        return "".join(made) + text[position:]

    def _replaced(self, found: re.Match[str]) -> str:
        return self._new([found.group(), *(group or "" for group in found.groups())])
