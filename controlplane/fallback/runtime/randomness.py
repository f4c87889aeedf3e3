"""Randomness of the operating system, taken in large portions."""

import os
import random

_PORTION = 4096
_SCALE = 2.0**-53


class BulkRandom(random.SystemRandom):
    """The system's source; a call to the system for each number would cost more than the number."""

    def __init__(self) -> None:
        self._portion = b""
        self._at = 0
        super().__init__()

    def random(self) -> float:
        return (self.getrandbits(56) >> 3) * _SCALE

    def getrandbits(self, k: int, /) -> int:
        return int.from_bytes(self.randbytes((k + 7) // 8), "big") >> (-k % 8)

    def randbytes(self, n: int) -> bytes:
        start, end = self._at, self._at + n
        if end > len(self._portion):
            self._portion = os.urandom(max(_PORTION, n))
            start, end = 0, n
        self._at = end
        return self._portion[start:end]
