"""Which counter belongs to a limit and a key, also after the limit was edited."""

from controlplane.clock import Clock
from controlplane.limiter.algorithms import Counter, new_counter
from controlplane.limiter.limits import Concurrency, Limit, Rule

Keys = dict[str, Counter[Rule]]
_FIRST_PRUNE = 4096


class Counters:
    """All counters of one process.

    A counter is found through the very object that declares its limit, which is the fastest way there is.
    Another object of the same name (an edited limit, or one that was read twice) leads to the same counters.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: dict[str, Limit] = {}
        self._additions = 0
        self._prune_at = _FIRST_PRUNE
        self.by_limit: dict[Limit, Keys] = {}
        """For the hot path, which asks `find` for what is not in here."""

    def __len__(self) -> int:
        return sum(len(self.by_limit[limit]) for limit in self._latest.values())

    def find(self, limit: Limit, key: str, now: float) -> Counter[Rule]:
        """The counter of that key, made if there is none."""
        if self._additions >= self._prune_at:
            self._prune(now)
        keys = self.by_limit.get(limit)
        if keys is None:
            keys = self._declare(limit, now)
        counter = keys.get(key)
        if counter is None:
            self._additions += 1
            counter = keys[key] = new_counter(limit.rule, 0, now, self._clock)
        return counter

    def still(self, limit: Limit, key: str) -> Counter[Rule] | None:
        """The counter of that key if there is one and it counts as that limit does."""
        latest = self._latest.get(limit.name)
        if latest is None or self.counts_otherwise(limit):
            return None
        return self.by_limit[latest].get(key)

    def counts_otherwise(self, limit: Limit) -> bool:
        """Whether the limit of that name counts in another way by now."""
        latest = self._latest.get(limit.name)
        return latest is not None and latest.rule.kind != limit.rule.kind

    def _declare(self, limit: Limit, now: float) -> Keys:
        self._additions += 1
        before = self._latest.get(limit.name)
        keys: Keys = {} if before is None else self.by_limit[before]
        if before is not None and before.rule.kind != limit.rule.kind:
            keys = {key: self._carried_over(counter, limit.rule, now) for key, counter in keys.items()}
            for other in [other for other in self.by_limit if other.name == limit.name]:
                del self.by_limit[other]
        self._latest[limit.name] = limit
        self.by_limit[limit] = keys
        return keys

    def _carried_over(self, counter: Counter[Rule], rule: Rule, now: float) -> Counter[Rule]:
        """What was used stays used when a limit counts in another way, unless slots became amounts."""
        comparable = Concurrency.kind not in (counter.kind, rule.kind)
        return new_counter(rule, counter.taken if comparable else 0, now, self._clock)

    def _prune(self, now: float) -> None:
        """Forget counters that hold nothing, and limits that have none: memory follows what is in use."""
        kept = {limit: self.by_limit[limit] for limit in self._latest.values()}
        for limit, keys in kept.items():
            for key in [key for key, counter in keys.items() if counter.idle(limit.rule, now)]:
                del keys[key]
        self.by_limit.clear()
        self.by_limit.update((limit, keys) for limit, keys in kept.items() if keys)
        self._latest = {limit.name: limit for limit in self.by_limit}
        self._additions = len(self)
        self._prune_at = max(_FIRST_PRUNE, 2 * self._additions)
