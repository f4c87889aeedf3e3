"""Text that people hand in: what is let through, so that every later part can place it safely."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from controlplane.core.apikeys import is_misspelt
from controlplane.core.field_paths import NAME_PATTERN
from controlplane.core.secrets import MASK, is_gateway_reference

_HEADER_TOKEN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,126}[A-Za-z0-9])?")
_VISIBLE_ASCII = re.compile(r"[!-~]{16,512}")
_OWN_HEADERS = "x-sluice-"

CREDENTIAL_HEADERS = (
    "authorization",
    "x-api-key",
    "api-key",
    "apikey",
    "x-goog-api-key",
    "proxy-authorization",
    "cookie",
    "x-consumer-username",
    "x-credential-identifier",
)
"""What a client may send to prove who it is, and what the gateway adds about it: no provider's business."""


def _printable(value: str) -> str:
    for char in value:
        category = unicodedata.category(char)
        if category in ("Cc", "Cs"):
            raise ValueError(f"has the character U+{ord(char):04X}, which cannot be stored; remove it")
    return value


def printable_lines(value: str) -> str:
    """The text, which may have several lines; raises ValueError for what cannot be stored."""
    for char in value:
        if char not in "\t\n" and unicodedata.category(char) in ("Cc", "Cs"):
            raise ValueError(f"has the character U+{ord(char):04X}, which cannot be stored; remove it")
    return value


def _secret_text(value: SecretStr) -> SecretStr:
    for char in value.get_secret_value():
        if char not in "\t\n\r" and unicodedata.category(char) in ("Cc", "Cs"):
            raise ValueError("has a character that cannot be stored; remove control characters")
    return value


def _api_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text == MASK:
        return value
    if not _VISIBLE_ASCII.fullmatch(text):
        raise ValueError("must be 16 to 512 visible ASCII characters, for it travels in an HTTP header")
    if is_gateway_reference(text):
        raise ValueError("must be the key's own text, which Sluice has to know; write no reference")
    if is_misspelt(text):
        raise ValueError("has the form of a key of ours, but its checksum is wrong; look for a typo")
    return value


def header_name(value: str) -> str:
    """The name in lower case; raises ValueError."""
    if not _HEADER_TOKEN.fullmatch(value):
        raise ValueError("must be a header name of letters, digits and dashes")
    if value.lower().startswith(_OWN_HEADERS):
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

HeaderName = Annotated[str, AfterValidator(header_name)]
"""An HTTP header's name, in lower case, that is not one of our own."""

LabelValue = Annotated[str, StringConstraints(pattern=r"^\S{1,256}$"), AfterValidator(_printable)]

SecretText = Annotated[SecretStr, Field(min_length=1, max_length=16384), AfterValidator(_secret_text)]
"""A secret on its way in; `***` stands for the one that is stored already."""

ApiKey = Annotated[SecretStr, Field(max_length=512), AfterValidator(_api_key)]
"""The text of a key of an application; `***` stands for the one that is stored already."""
