"""What others say who were told secrets and may quote them: masked however they write them, and cut after."""

import re
from collections.abc import Iterable, Iterator

from controlplane.core.secrets import MASK

LONGEST_SHOWN = 500
MOST_READ = 65_536

_SHORTEST_ANYWHERE = 6
"""Shorter secrets would mask half of every word: they are masked where they stand alone."""

_MOST_LAYERS = 4
"""So often is a quotation unpacked: JSON in JSON in an address."""

# A backslash may be doubled by each layer around it, so that any number of them is as good as one.
_ESCAPE = re.compile(
    rb"\\+u(?P<high>d[89ab][0-9a-f]{2})\\+u(?P<low>d[c-f][0-9a-f]{2})|\\+u(?P<unit>[0-9a-f]{4})"
    rb"|(?:\\+x|%)(?P<byte>[0-9a-f]{2})|&#x(?P<hex>[0-9a-f]{1,6});|&#(?P<number>[0-9]{1,7});"
    rb"|\\+(?P<control>[bfnrt])|&(?P<name>quot|amp|lt|gt|apos);|\\+",
    re.IGNORECASE,
)
_CONTROLS = dict(zip(b"bfnrtBFNRT", (b"\b", b"\f", b"\n", b"\r", b"\t") * 2, strict=True))
_NAMES = {b"quot": b'"', b"amp": b"&", b"lt": b"<", b"gt": b">", b"apos": b"'"}
_LAST_WORD = re.compile(r"[^\s\"'`,;:=<>(){}\[\]]*\Z")


def told(text: str, secrets: Iterable[str]) -> str:
    """What may be shown of the words of somebody who knows these secrets.

    Each is masked, also where it is escaped as in JSON, an address or HTML, and where the words break off
    within it. No word is cut in two: of what nobody knew to be a secret nothing is shown by half.
    """
    masked = _masked(text[:MOST_READ].strip(), secrets)
    if len(text) <= MOST_READ and len(masked) <= LONGEST_SHOWN:
        return masked
    return f"{_LAST_WORD.sub('', masked[:LONGEST_SHOWN])} …".strip()


def _masked(text: str, secrets: Iterable[str]) -> str:
    # Nothing that a database or a terminal takes amiss.
    written = text.encode(errors="replace").replace(b"\0", b"")
    plain, places = _unpacked(written)
    as_written = range(len(written) + 1)
    spans: list[tuple[int, int]] = []
    for secret in {secret for secret in secrets if secret and secret != MASK}:
        sought = secret.encode(errors="replace")
        spans += ((as_written[begin], as_written[end]) for begin, end in _found(sought, written))
        spans += ((places[begin], places[end]) for begin, end in _found(_unpacked(sought)[0], plain))
    return b"".join(_without(spans, written)).decode(errors="replace")


def _without(spans: Iterable[tuple[int, int]], written: bytes) -> Iterator[bytes]:
    """The text with a mask for each span, and for those that overlap together."""
    at = 0
    for begin, end in sorted(spans):
        if begin >= at:
            yield written[at:begin]
            yield MASK.encode()
        at = max(at, end)
    yield written[at:]


def _found(secret: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    """Where the secret is in the text, and where the text ends with its beginning."""
    if len(secret) < _SHORTEST_ANYWHERE:
        alone = rb"(?<![\w-])%b(?![\w-])" % re.escape(secret)
        yield from (found.span() for found in re.finditer(alone, text) if secret)
        return
    at = text.find(secret)
    while at >= 0:
        yield at, at + len(secret)
        at = text.find(secret, at + len(secret))
    at = text.find(secret[:_SHORTEST_ANYWHERE], max(0, len(text) - len(secret) + 1))
    while at >= 0:
        if secret.startswith(text[at:]):
            yield at, len(text)
            return
        at = text.find(secret[:_SHORTEST_ANYWHERE], at + 1)


def _unpacked(written: bytes) -> tuple[bytes, list[int]]:
    """What is meant by a text with escapes, and from where in it each byte comes; the last one is its end."""
    text, places = written, list(range(len(written) + 1))
    for _ in range(_MOST_LAYERS):
        if not _ESCAPE.search(text):
            break
        text, places = _layer_off(text, places)
    return text, places


def _layer_off(text: bytes, places: list[int]) -> tuple[bytes, list[int]]:
    plain, of_plain, at = bytearray(), list[int](), 0
    for escape in _ESCAPE.finditer(text):
        begin, end = escape.span()
        meant = _meant(escape)
        plain += text[at:begin] + meant
        of_plain += places[at:begin] + [places[begin]] * len(meant)
        at = end
    return bytes(plain + text[at:]), of_plain + places[at:]


def _meant(escape: re.Match[bytes]) -> bytes:
    kind, found = escape.lastgroup, escape[escape.lastindex or 0]
    if kind == "low":
        pair = bytes.fromhex((escape["high"] + found).decode())
        return pair.decode("utf-16-be").encode()
    if kind == "byte":
        return bytes.fromhex(found.decode())
    if kind in ("unit", "hex", "number"):
        number = int(found, 10 if kind == "number" else 16)
        return chr(number).encode(errors="replace") if number <= 0x10FFFF else b"?"
    if kind == "control":
        return _CONTROLS[found[0]]
    return _NAMES[found.lower()] if kind == "name" else b""
