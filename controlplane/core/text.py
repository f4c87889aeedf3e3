"""Text that people hand in: what is let through, so that every later part can place it safely."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,52}[A-Za-z0-9])?$"
_HEADER_TOKEN = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")
_OWN_HEADERS = "x-sluice-"


def _printable(value: str) -> str:
    for char in value:
        category = unicodedata.category(char)
        if category in ("Cc", "Cs"):
            raise ValueError(f"has the character U+{ord(char):04X}, which cannot be stored; remove it")
    return value


def _header_name(value: str) -> str:
    if not _HEADER_TOKEN.match(value):
        raise ValueError("is no HTTP header name")
    if value.lower().replace("_", "-").startswith(_OWN_HEADERS):
        raise ValueError("headers that start with x-sluice- are set by Sluice itself; use another name")
    return value.lower()


Name = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    Field(
        description="letters, digits, `-` and `_`, 1 to 54 characters, a letter or digit at both ends",
        examples=["support"],
    ),
]
"""How every object is called: fits into an object id, a URL and a label without quoting."""

Text = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_printable)]
"""Free text of one line: any Unicode but control characters and lone surrogates."""

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_printable)]

HeaderName = Annotated[str, AfterValidator(_header_name)]
"""An HTTP header's name, in lower case, that is not one of our own."""

LabelValue = Annotated[str, StringConstraints(pattern=r"^\S{1,256}$"), AfterValidator(_printable)]
