"""Several operations in one call of the script. A counter goes along once, however many of them touch it."""

from typing import Protocol

from controlplane.limiter.limits import Limit
from controlplane.limiter.redis.connection import pack
from controlplane.limiter.redis.keys import Keys

MOST_OPERATIONS = 64
MOST_COUNTERS = 2048  # what Lua can still unpack with room to spare


class Operation(Protocol):
    """One thing to do, and whoever waits for it."""

    def write(self, batch: "Batch") -> tuple[bytes, bytes]:
        """What the script reads of it: the figures and the text. Raises RulesDiffer."""

    def answer(self, answer: bytes, time: bytes) -> None:
        """What the script says to it, and when that was by its clock."""

    def fail(self, error: Exception) -> None:
        """There is no answer."""


class RulesDiffer(Exception):
    """A counter of this batch goes by another rule already: the operation belongs into the next batch."""


class Batch:
    """Filled, sent, answered."""

    __slots__ = (
        "_arguments",
        "_keys",
        "_places",
        "_rules",
        "names",
        "operations",
        "positions",
        "sent_again",
        "sent_at",
    )

    def __init__(self, names: Keys) -> None:
        self.names = names
        self._keys: list[bytes] = []
        self._rules: list[bytes] = []
        self._places: dict[bytes, int] = {}
        self.positions: dict[tuple[Limit, str], int] = {}
        """Of the counters that were asked for: look here first, most calls share them."""
        self._arguments: list[bytes] = []
        self.operations: list[Operation] = []
        self.sent_at = 0.0
        self.sent_again = False

    def add(self, operation: Operation) -> bool:
        """Take it in; False if it must go into another batch."""
        if len(self.operations) >= MOST_OPERATIONS or len(self._keys) >= MOST_COUNTERS:
            return False
        try:
            self._arguments += operation.write(self)
        except RulesDiffer:
            return False
        self.operations.append(operation)
        return True

    def position(self, limit: Limit, key: str) -> int:
        """Where the script finds that counter, counted from 1."""
        name = self.names.counter(limit, key)
        rule = self.names.rule(limit)
        position = self._places.get(name)
        if position is None:
            self._keys.append(name)
            self._rules.append(rule)
            position = self._places[name] = len(self._keys)
        elif self._rules[position - 1] != rule:
            raise RulesDiffer
        self.positions[limit, key] = position
        return position

    def command(self, sha: bytes, now: bytes, deadline: bytes) -> bytes:
        """The call of the script, ready to be sent."""
        keys = (self.names.open_leases, self.names.ended_leases, *self._keys)
        return pack((b"EVALSHA", sha, len(keys), *keys, now, deadline, *self._rules, *self._arguments))
