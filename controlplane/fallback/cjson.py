"""JSON as lua-cjson writes it and complains about it, so that bodies and errors are those of APISIX."""

import json
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
# A pair of surrogates, another escape that is allowed, or whatever else follows a backslash.
_ESCAPE = re.compile(
    r"""\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|["\\/bfnrt]"""
    r"|(?P<wrong>.))",
    re.DOTALL,
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
        complaint = _complaint(data)
        if complaint is not None:
            raise InvalidJson(complaint) from None
        return _leniently(data, error)


def _leniently(data: bytes, error: orjson.JSONDecodeError) -> Any:
    """What only orjson objects to: control characters inside texts."""
    try:
        return json.loads(data, strict=False, parse_constant=_no_number)
    except ValueError:
        raise InvalidJson(str(error)) from None


def _no_number(name: str) -> Any:
    raise InvalidJson(f"{name} is no number")


def _complaint(data: bytes) -> str | None:
    """What lua-cjson finds wrong, or None where it is only orjson that objects."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at character {error.start + 1}"
    try:
        # lua-cjson counts bytes.
        _Scanner(data.decode("latin-1")).document()
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
            return self._bad_token()
        kind = str(found.lastgroup)
        at = found.start(kind) + 1
        self._position = found.end()
        text = found.group(kind)
        if kind == "string" and "\\" in text:
            for escape in _ESCAPE.finditer(text):
                if escape["wrong"] is not None:
                    what = "unicode escape" if escape["wrong"] == "u" else "escape"
                    return f"invalid {what} code", at + escape.start()
        if kind == "punct":
            return _PUNCTUATION[text], at
        if kind == "word":
            return _WORDS[text.lower()], at
        return {"string": "T_STRING", "number": "T_NUMBER", "end": "T_END"}[kind], at

    def _bad_token(self) -> tuple[str, int]:
        position = self._position
        while position < len(self._text) and self._text[position] in " \t\n\r":
            position += 1
        if self._text[position] == '"':
            return "unexpected end of string", len(self._text) + 1
        is_number = self._text[position] == "-"
        return "invalid number" if is_number else "invalid token", position + 1


def _expected(what: str, lexeme: str, at: int) -> InvalidJson:
    return InvalidJson(f"Expected {what} but found {lexeme} at character {at}")
