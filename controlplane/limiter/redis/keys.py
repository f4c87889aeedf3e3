"""How counters are called in Redis, and how their limits are written for it."""

from collections.abc import Callable
from struct import Struct

from controlplane.limiter.calendar import window
from controlplane.limiter.limits import CalendarWindow, Concurrency, Limit, Rule, TokenBucket

_MOST_REMEMBERED = 10_000
_LIMIT, _LIMIT_AND_PACE, _LIMIT_AND_EDGES = Struct(">cd"), Struct(">cdd"), Struct(">cddddd")

Description = tuple[str, str, int, float | str | None]
"""A limit in plain values: its name, kind, amount and pace."""


class _Written:
    """One limit as Redis gets to see it."""

    __slots__ = ("begin", "calendar", "description", "end", "packed", "prefix")

    def __init__(self, limit: Limit, prefix: bytes) -> None:
        name = limit.name.replace("%", "%25").replace(":", "%3A")  # so that no two counters share a name
        rule = limit.rule
        self.prefix = prefix + b"limit:" + name.encode() + b":"
        self.description: Description = (limit.name, rule.kind, rule.limit, _pace(rule))
        self.calendar = rule if isinstance(rule, CalendarWindow) else None
        self.begin = self.end = 0.0
        self.packed = b"" if isinstance(rule, CalendarWindow) else _packed(rule)

    def pack_calendar(self, rule: CalendarWindow, now: float) -> None:
        """The edges of the window before the present one, of that one, and of the one after it."""
        self.begin, self.end = window(rule.period, rule.time_zone, now)
        before, _ = window(rule.period, rule.time_zone, self.begin - 1.0)
        _, after = window(rule.period, rule.time_zone, self.end)
        self.packed = _LIMIT_AND_EDGES.pack(b"C", rule.limit, before, self.begin, self.end, after)


class Keys:
    """All names share one hash tag: a cluster keeps them in one slot, where one script may touch them all."""

    def __init__(self, namespace: str, wall: Callable[[], float]) -> None:
        self._prefix = f"{{{namespace}}}:".encode()
        self._wall = wall
        self._written: dict[Limit, _Written] = {}
        self.open_leases = self._prefix + b"leases"
        self.ended_leases = self._prefix + b"ended"

    def counter(self, limit: Limit, key: str) -> bytes:
        """The name of one counter: `{namespace}:limit:name:key`."""
        return self._of(limit).prefix + key.encode()

    def rule(self, limit: Limit) -> bytes:
        """The rule, packed as the Lua file of its kind unpacks it."""
        written = self._of(limit)
        if written.calendar is not None:
            now = self._wall()
            if not written.begin <= now < written.end:
                written.pack_calendar(written.calendar, now)
        return written.packed

    def description(self, limit: Limit) -> Description:
        return self._of(limit).description

    def _of(self, limit: Limit) -> _Written:
        try:
            return self._written[limit]
        except KeyError:
            if len(self._written) >= _MOST_REMEMBERED:
                self._written.clear()
            written = self._written[limit] = _Written(limit, self._prefix)
            return written


def _pace(rule: Rule) -> float | str | None:
    if isinstance(rule, Concurrency):
        return None
    if isinstance(rule, TokenBucket):
        return rule.refill_per_s
    if isinstance(rule, CalendarWindow):
        return f"{rule.period} {rule.time_zone.key}"
    return rule.per


def _packed(rule: Rule) -> bytes:
    kind, pace = rule.kind.encode(), _pace(rule)
    if isinstance(pace, float | int):
        return _LIMIT_AND_PACE.pack(kind, rule.limit, pace)
    return _LIMIT.pack(kind, rule.limit)
