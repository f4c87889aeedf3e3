"""The limiters of a gateway: one in its memory, and one for each Redis that a configuration names."""

from collections.abc import Iterable
from urllib.parse import quote

from controlplane.clock import Clock
from controlplane.fallback.counters.redis_connection import RedisAddress
from controlplane.fallback.metrics.registry import Sample
from controlplane.limiter.estimate import Encodings, Estimator
from controlplane.limiter.limits import OnOutage
from controlplane.limiter.memory import MemoryLimiter
from controlplane.limiter.protocol import Limiter
from controlplane.limiter.redis.limiter import RedisLimiter

NAMESPACE = "token-budget"


class Limiters:
    """Limiters by address, and what the gateway has learnt about the size of calls."""

    def __init__(self, clock: Clock) -> None:
        self.encodings = Encodings()
        self.estimator = Estimator(self.encodings)
        self._memory = MemoryLimiter(clock)
        self._shared: dict[RedisAddress, RedisLimiter] = {}

    def of(self, address: RedisAddress | None) -> Limiter:
        """The limiter whose counters are in that Redis; without one those of this process."""
        if address is None:
            return self._memory
        limiter = self._shared.get(address)
        if limiter is None:
            limiter = self._shared[address] = RedisLimiter(
                _url(address), namespace=NAMESPACE, timeout=address.timeout_s
            )
        return limiter

    def degraded(self) -> Iterable[Sample]:
        """How many charges were decided without Redis, by what was done instead."""
        totals = dict.fromkeys(OnOutage, 0)
        for limiter in self._shared.values():
            for how, count in limiter.health.degraded.items():
                totals[how] += count
        return [((how.value,), count) for how, count in totals.items()]

    def deferred(self) -> Iterable[Sample]:
        """How many settlements wait for a Redis to come back, and how many had to be given up."""
        waiting = sum(limiter.health.deferred for limiter in self._shared.values())
        lost = sum(limiter.health.given_up for limiter in self._shared.values())
        return [(("waiting",), waiting), (("lost",), lost)]

    async def close(self) -> None:
        for limiter in self._shared.values():
            await limiter.aclose()


def _url(address: RedisAddress) -> str:
    credentials = ""
    if address.password:
        credentials = f"{quote(address.username or '', safe='')}:{quote(address.password, safe='')}@"
    scheme = "rediss" if address.tls else "redis"
    return f"{scheme}://{credentials}{address.host}:{address.port}/{address.database}"
