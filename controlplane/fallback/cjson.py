"""JSON as lua-cjson writes it and complains about it, so that bodies and errors are those of APISIX."""

import re
from typing import Any

import orjson

MOST_NESTED = 1000

_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
        (?P<punct>[{}\[\]:,])
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<number>-?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|inf(?:inity)?|nan))
      | (?P<word>true|false|null)
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_PUNCTUATION = {
    "{": "T_OBJ_BEGIN",
    "}": "T_OBJ_END",
    "[": "T_ARR_BEGIN",
    "]": "T_ARR_END",
    ":": "T_COLON",
    ",": "T_COMMA",
}
_WORDS = {"true": "T_BOOLEAN", "false": "T_BOOLEAN", "null": "T_NULL"}


class InvalidJson(ValueError):
    """The text is not JSON; the message is lua-cjson's."""


def encode(value: Any) -> bytes:  # any JSON value
    """Compact JSON with lua-cjson's habit of escaping slashes."""
    return orjson.dumps(value).replace(b"/", b"\\/")


def decode(data: bytes) -> Any:  # any JSON value
    """Parse JSON; InvalidJson says what lua-cjson would have said."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(_complaint(data) or str(error)) from None


def _complaint(data: bytes) -> str | None:
    """What lua-cjson finds wrong, or None where it is only orjson that objects."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at character {error.start + 1}"
    try:
        _Scanner(text).document()
    except InvalidJson as problem:
        return str(problem)
    except RecursionError:
        return f"Found too many nested data structures ({MOST_NESTED + 1})"
    return None


class _Scanner:
    """Reads tokens the way lua-cjson does, only to find the first mistake."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0

    def document(self) -> None:
        lexeme, at = self._next()
        self._value(lexeme, at)
        lexeme, at = self._next()
        if lexeme != "T_END":
            raise _expected("the end", lexeme, at)

    def _value(self, lexeme: str, at: int) -> None:
        if lexeme in ("T_OBJ_BEGIN", "T_ARR_BEGIN"):
            self._depth += 1
            if self._depth > MOST_NESTED:
                raise InvalidJson(f"Found too many nested data structures ({self._depth})")
            self._object() if lexeme == "T_OBJ_BEGIN" else self._array()
            self._depth -= 1
        elif lexeme not in ("T_STRING", "T_NUMBER", "T_BOOLEAN", "T_NULL"):
            raise _expected("value", lexeme, at)

    def _object(self) -> None:
        lexeme, at = self._next()
        if lexeme == "T_OBJ_END":
            return
        while True:
            if lexeme != "T_STRING":
                raise _expected("object key string", lexeme, at)
            lexeme, at = self._next()
            if lexeme != "T_COLON":
                raise _expected("colon", lexeme, at)
            self._value(*self._next())
            lexeme, at = self._next()
            if lexeme == "T_OBJ_END":
                return
            if lexeme != "T_COMMA":
                raise _expected("comma or object end", lexeme, at)
            lexeme, at = self._next()

    def _array(self) -> None:
        lexeme, at = self._next()
        if lexeme == "T_ARR_END":
            return
        while True:
            self._value(lexeme, at)
            lexeme, at = self._next()
            if lexeme == "T_ARR_END":
                return
            if lexeme != "T_COMMA":
                raise _expected("comma or array end", lexeme, at)
            lexeme, at = self._next()

    def _next(self) -> tuple[str, int]:
        found = _TOKEN.match(self._text, self._position)
        if found is None:
            return "invalid lexeme", self._skip_space() + 1
        kind = str(found.lastgroup)
        at = found.start(kind) + 1
        self._position = found.end()
        text = found.group(kind)
        if kind == "punct":
            return _PUNCTUATION[text], at
        if kind == "word":
            return _WORDS[text.lower()], at
        return {"string": "T_STRING", "number": "T_NUMBER", "end": "T_END"}[kind], at

    def _skip_space(self) -> int:
        position = self._position
        while position < len(self._text) and self._text[position] in " \t\n\r":
            position += 1
        return position


def _expected(what: str, lexeme: str, at: int) -> InvalidJson:
    return InvalidJson(f"Expected {what} but found {lexeme} at character {at}")
