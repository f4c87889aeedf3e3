"""How counters are called in Redis, and how their rules are written for the script."""

from collections.abc import Callable
from struct import Struct

from controlplane.limiter.calendar import window
from controlplane.limiter.limits import CalendarWindow, Concurrency, Limit, Rule, TokenBucket

_MOST_REMEMBERED = 10_000
_LIMIT, _LIMIT_AND_PACE, _LIMIT_AND_EDGES = Struct(">cd"), Struct(">cdd"), Struct(">cddddd")


class Keys:
    """All names share one hash tag: a cluster keeps them in one slot, where one script may touch them all."""

    def __init__(self, namespace: str, wall: Callable[[], float]) -> None:
        self._prefix = f"{{{namespace}}}:".encode()
        self._wall = wall
        self._prefixes: dict[Limit, bytes] = {}
        self._rules: dict[Limit, bytes] = {}
        self._calendar_rules: dict[Limit, tuple[float, float, bytes]] = {}
        self.open_leases = self._prefix + b"leases"
        self.ended_leases = self._prefix + b"ended"

    def counter(self, limit: Limit, key: str) -> bytes:
        """The name of one counter: `{namespace}:limit:key`."""
        try:
            prefix = self._prefixes[limit]
        except KeyError:
            prefix = self._remember(limit)
        return prefix + key.encode()

    def rule(self, limit: Limit) -> bytes:
        """The rule, packed as the Lua file of its kind unpacks it."""
        rule = self._rules.get(limit)
        return self._calendar_rule(limit) if rule is None else rule

    def _remember(self, limit: Limit) -> bytes:
        if len(self._prefixes) >= _MOST_REMEMBERED:
            for memory in (self._prefixes, self._rules, self._calendar_rules):
                memory.clear()
        name = limit.name.replace("%", "%25").replace(":", "%3A")  # so that no two counters share a name
        prefix = self._prefixes[limit] = self._prefix + b"limit:" + name.encode() + b":"
        if not isinstance(limit.rule, CalendarWindow):
            self._rules[limit] = _packed(limit.rule)
        return prefix

    def _calendar_rule(self, limit: Limit) -> bytes:
        """The edges of the window before the present one, of that one, and of the one after it."""
        now = self._wall()
        begin, end, rule = self._calendar_rules.get(limit, (0.0, 0.0, b""))
        if not begin <= now < end and isinstance(limit.rule, CalendarWindow):
            period, zone = limit.rule.period, limit.rule.time_zone
            begin, end = window(period, zone, now)
            before, _ = window(period, zone, begin - 1.0)
            _, after = window(period, zone, end)
            rule = _LIMIT_AND_EDGES.pack(b"C", limit.rule.limit, before, begin, end, after)
            self._calendar_rules[limit] = (begin, end, rule)
        return rule


def _packed(rule: Rule) -> bytes:
    kind = rule.kind.encode()
    if isinstance(rule, Concurrency):
        return _LIMIT.pack(kind, rule.limit)
    if isinstance(rule, TokenBucket):
        return _LIMIT_AND_PACE.pack(kind, rule.limit, rule.refill_per_s)
    if isinstance(rule, CalendarWindow):
        raise TypeError("a calendar's rule depends on the time")
    return _LIMIT_AND_PACE.pack(kind, rule.limit, rule.per)
