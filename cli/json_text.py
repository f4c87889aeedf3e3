"""Declarations in JSON, as programs write them. It is YAML, too, and read several times as quickly as such.

No place is known of what is read so: whoever has something to say against it reads the text as YAML.
"""

import json
import re
from typing import Any, NoReturn

from cli.reading import MOST_VALUES, NotPlain, Replace, replace_texts

_OTHERWISE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|\\\\u[dD][89a-fA-F]")
"""What YAML refuses or takes for the end of a line, and escapes of which JSON alone makes pairs."""


def json_values(text: str, replace: Replace) -> dict[str, Any] | None:  # Any: what a file says
    """What is declared, if YAML would read the same; None for any other text.

    `replace` is asked about those texts alone that may have a reference or be a secret, and is told no mark.
    """
    if not text.lstrip().startswith("{") or _otherwise(text):
        return None
    # There is one of these before each value but the first.
    if text.count(",") + text.count("[") + text.count("{") >= MOST_VALUES:
        return None
    try:
        values = json.loads(
            text, object_pairs_hook=_each_name_once, parse_float=_plain, parse_constant=_no_number
        )
        replace_texts(values, replace)
    except (NotPlain, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _otherwise(text: str) -> bool:
    # Nearly every text is told by this, in a tenth of the time that the search takes.
    plain = text.isascii() and "\x7f" not in text and "\\u" not in text
    return not plain and _OTHERWISE.search(text) is not None


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise NotPlain
    return values


def _plain(number: str) -> float:
    if "e" in number or "E" in number:
        raise NotPlain  # which is a text where it has no sign
    return float(number)


def _no_number(name: str) -> NoReturn:
    raise NotPlain
