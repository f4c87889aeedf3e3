"""Whose turn it is among the members of a pool."""

import bisect
import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Protocol

_POINTS = 160


class Balancer(Protocol):
    """Chooses among members of one priority."""

    def next(self, turn: "Turn") -> str | None:
        """A member that the call has not tried yet, or None when it has tried them all."""


@dataclass(frozen=True, slots=True)
class Server:
    """Somebody who can be asked: a member of a pool, or a node of an upstream."""

    name: str
    weight: int
    priority: int
    last_resort: bool = False


@dataclass(slots=True)
class Turn:
    """One call's way through the members: among whom it chooses, where it stands and whom it has tried."""

    key: str = ""
    among: "Priorities | None" = None
    level: int = 0
    tried: set[str] = field(default_factory=set)
    point: int | None = None


class RoundRobin:
    """Weighted round robin: in every round the heaviest go first, and nobody twice in a row without need."""

    def __init__(self, weights: Sequence[tuple[str, int]], chance: random.Random) -> None:
        self._weights = list(weights)
        self._gcd = gcd(*(weight for _, weight in weights))
        self._most = max(weight for _, weight in weights)
        self._current = self._most
        self._last = chance.randrange(len(self._weights))
        self._rounds = sum(weight + 1 for _, weight in weights)

    def next(self, turn: Turn) -> str | None:
        if len(turn.tried) >= len(self._weights):
            return None
        for _ in range(self._rounds):
            name = self._find()
            if name not in turn.tried:
                return name
        return None

    def _find(self) -> str:
        if len(self._weights) == 1:
            return self._weights[0][0]
        while True:
            while self._last + 1 < len(self._weights):
                self._last += 1
                name, weight = self._weights[self._last]
                if weight >= self._current:
                    return name
            self._last = -1
            self._current -= self._gcd
            if self._current <= 0:
                self._current = self._most


class ConsistentHash:
    """The same key goes to the same member, and a member that leaves moves only its own keys.

    The points of a member are those that APISIX computes, so that gateways of both kinds agree.
    """

    def __init__(self, weights: Sequence[tuple[str, int]]) -> None:
        self._names = [name for name, _ in weights]
        share = gcd(*(weight for _, weight in weights)) or 1
        points: list[tuple[int, str]] = []
        for name, weight in weights:
            seed, point = zlib.crc32(name.replace(":", "\0").encode()), 0
            for _ in range(_POINTS * (weight // share)):
                point = zlib.crc32(point.to_bytes(4, "little"), seed)
                points.append((point, name))
        points.sort()
        self._points = [point for point, _ in points]
        self._owners = [name for _, name in points]

    def next(self, turn: Turn) -> str | None:
        if len(turn.tried) >= len(self._names) or not self._points:
            return None
        start = turn.point
        if start is None:
            start = bisect.bisect_left(self._points, zlib.crc32(turn.key.encode("utf-8", "surrogateescape")))
        for step in range(len(self._points)):
            position = (start + step) % len(self._points)
            if self._owners[position] not in turn.tried:
                turn.point = position
                return self._owners[position]
        return None


class Priorities:
    """Balancers by priority: the next one is asked when everybody of the one before has been tried."""

    def __init__(self, levels: Sequence[Balancer]) -> None:
        self._levels = levels

    def next(self, turn: Turn) -> str | None:
        while turn.level < len(self._levels):
            name = self._levels[turn.level].next(turn)
            if name is not None:
                return name
            turn.level += 1
            turn.tried = set()
            turn.point = None
        return None

    @property
    def has_one_level(self) -> bool:
        return len(self._levels) == 1


def priorities(servers: Iterable[Server], *, hashed: bool, chance: random.Random) -> Priorities:
    """A balancer over servers: the highest priority is asked first, a last resort after all others."""
    levels: dict[tuple[bool, int], dict[str, int]] = {}
    for server in servers:
        level = levels.setdefault((not server.last_resort, server.priority), {})
        level.setdefault(server.name, server.weight)

    def balancer(weights: list[tuple[str, int]]) -> Balancer:
        return ConsistentHash(weights) if hashed else RoundRobin(weights, chance)

    return Priorities([balancer(list(levels[level].items())) for level in sorted(levels, reverse=True)])
