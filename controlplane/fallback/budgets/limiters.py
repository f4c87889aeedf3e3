"""The limiters of a gateway: one in its memory, and one for each Redis that a configuration names."""

from collections.abc import Iterable
from dataclasses import replace

from controlplane.clock import Clock
from controlplane.fallback.counters.redis_cluster import ClusterAddress
from controlplane.fallback.counters.redis_connection import RedisAddress
from controlplane.fallback.counters.redis_hub import Address as RedisPlace
from controlplane.fallback.counters.redis_sentinel import SentinelAddress
from controlplane.fallback.metrics.registry import Sample
from controlplane.limiter.estimate import Encodings, Estimator
from controlplane.limiter.limits import OnOutage
from controlplane.limiter.memory import MemoryLimiter
from controlplane.limiter.protocol import Limiter
from controlplane.limiter.redis.address import Address, RedisUrl
from controlplane.limiter.redis.limiter import RedisLimiter

NAMESPACE = "token-budget"


class Limiters:
    """Limiters by address, and what the gateway has learnt about the size of calls."""

    def __init__(self, clock: Clock) -> None:
        self.encodings = Encodings()
        self.estimator = Estimator(self.encodings)
        self._memory = MemoryLimiter(clock)
        self._shared: dict[RedisPlace, RedisLimiter] = {}

    def of(self, address: RedisPlace | None) -> Limiter:
        """The limiter whose counters are in that Redis; without one those of this process."""
        if address is None:
            return self._memory
        limiter = self._shared.get(address)
        if limiter is None:
            limiter = self._shared[address] = RedisLimiter(
                _url(address), namespace=NAMESPACE, timeout=_timeout_of(address)
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


def _url(address: RedisPlace) -> RedisUrl:
    """The same place in the limiter's terms."""
    if isinstance(address, SentinelAddress):
        one = address.sentinels[0]
        url = _at(address.sentinels, address.member)
        return replace(
            url, master=address.name, sentinel_username=one.username, sentinel_password=one.password
        )
    if isinstance(address, ClusterAddress):
        return _at(address.seeds, address.seeds[0])
    return _at((address,), address)


def _at(doors: tuple[RedisAddress, ...], server: RedisAddress) -> RedisUrl:
    """A server, or several, behind those addresses."""
    return RedisUrl(
        addresses=tuple(Address(door.host, door.port) for door in doors),
        username=server.username,
        password=server.password,
        database=server.database,
        tls=server.tls_context(),
    )


def _timeout_of(address: RedisPlace) -> float:
    if isinstance(address, SentinelAddress):
        return address.member.timeout_s
    return (address.seeds[0] if isinstance(address, ClusterAddress) else address).timeout_s
