"""The form of the API keys that Sluice makes.

`sk-sluice-` + 32 random characters of base 62 + a checksum of 6 more. The checksum is the CRC-32 of
everything before it, in base 62 (digits, capitals, small letters; most significant first, padded with
`0`), so that a mistyped or truncated key is told from an unknown one without looking it up.
"""

import re
import string
import zlib
from typing import Protocol

PREFIX = "sk-sluice-"
TOKEN_PREFIX = "sat-sluice-"  # noqa: S105 what a control plane's access token begins with
RANDOM_LENGTH = 32
CHECKSUM_LENGTH = 6

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_LENGTH + CHECKSUM_LENGTH}}}")


class RandomSource(Protocol):
    """What keys are drawn from: `random.SystemRandom()` in earnest."""

    def choices(self, population: str, *, k: int) -> list[str]:
        """k characters of the population, drawn independently."""


def new_key(source: RandomSource, prefix: str = PREFIX) -> str:
    """A key that nobody has seen: 190 bits from the source, then the checksum."""
    body = prefix + "".join(source.choices(_ALPHABET, k=RANDOM_LENGTH))
    return body + checksum(body)


def checksum(body: str) -> str:
    """The six characters that belong behind this body."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def is_well_formed(text: str) -> bool:
    """Whether the text is a key that we may have made."""
    return _FORM.fullmatch(text) is not None and text[-CHECKSUM_LENGTH:] == checksum(text[:-CHECKSUM_LENGTH])


def is_misspelt(text: str) -> bool:
    """Whether the text has the length and letters of a key of ours, but not its checksum."""
    return _FORM.fullmatch(text) is not None and not is_well_formed(text)
