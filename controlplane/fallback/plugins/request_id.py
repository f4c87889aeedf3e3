"""request-id: every request has an id, which the provider and the client see."""

import uuid
from random import Random
from typing import ClassVar

from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.plugin import Plugin, Schema

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIGKLMNOPQRSTUVWXYZ0123456789"
_NANOID = "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KSUID_EPOCH = 1_400_000_000


class RequestId(Plugin):
    """Keeps the id that the client sent, or makes one."""

    name = "request-id"
    priority = 12015
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "header_name": {"type": "string", "default": "X-Request-Id"},
            "include_in_response": {"type": "boolean", "default": True},
            "algorithm": {
                "type": "string",
                "enum": ["uuid", "nanoid", "range_id", "ksuid", "uuidv7"],
                "default": "uuid",
            },
            "range_id": {
                "type": "object",
                "properties": {
                    "length": {"type": "integer", "minimum": 6, "default": 16},
                    "char_set": {"type": "string", "minLength": 6, "default": _LETTERS},
                },
                "default": {"length": 16, "char_set": _LETTERS},
            },
        },
    }

    def runs(self, phase: str) -> bool:
        return phase != "header_filter" or bool(self.conf["include_in_response"])

    def rewrite(self, context: Context) -> None:
        header = self.conf["header_name"].lower()
        identifier = context.headers.get(header)
        if not identifier:
            identifier = self._make()
            context.headers.set(header, identifier)
        context.request_id = identifier
        context.notes[self] = identifier

    def header_filter(self, context: Context) -> None:
        if not context.response_headers.first(self.conf["header_name"]):
            context.response_headers.set(self.conf["header_name"], context.notes.get(self))

    def _make(self) -> str:
        clock, chance = self.services.clock, self.services.random
        match self.conf["algorithm"]:
            case "uuidv7":
                return _uuid7(clock.now(), chance)
            case "nanoid":
                return "".join(chance.choice(_NANOID) for _ in range(21))
            case "range_id":
                shape = self.conf["range_id"]
                return "".join(chance.choice(shape["char_set"]) for _ in range(shape["length"]))
            case "ksuid":
                return _ksuid(clock.now(), chance)
            case _:
                return _uuid4(chance)


def _uuid4(chance: Random) -> str:
    digits = chance.randbytes(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _uuid7(now: float, chance: Random) -> str:
    value = (int(now * 1000) << 80) | chance.getrandbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def _ksuid(now: float, chance: Random) -> str:
    number = ((int(now) - _KSUID_EPOCH) << 128) | chance.getrandbits(128)
    digits = []
    for _ in range(27):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
