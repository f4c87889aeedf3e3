"""Every Redis that this gateway counts in, of whatever kind: one client each."""

from collections.abc import Iterable
from functools import partial

from controlplane.fallback.counters.redis import RedisClient
from controlplane.fallback.counters.redis_cluster import ClusterAddress, ClusterClient
from controlplane.fallback.counters.redis_connection import RedisAddress
from controlplane.fallback.counters.redis_sentinel import SentinelAddress, locate
from controlplane.fallback.metrics.registry import Sample

Address = RedisAddress | SentinelAddress | ClusterAddress
Client = RedisClient | ClusterClient


class RedisHub:
    """Clients by address."""

    def __init__(self) -> None:
        self._nodes: dict[RedisAddress | SentinelAddress, RedisClient] = {}
        self._clusters: dict[ClusterAddress, ClusterClient] = {}

    def client(self, address: Address) -> Client:
        """The client of an address; made when it is first asked for."""
        if isinstance(address, ClusterAddress):
            cluster = self._clusters.get(address)
            if cluster is None:
                cluster = self._clusters[address] = ClusterClient(address, self._node)
            return cluster
        return self._node(address)

    def posted(self) -> Iterable[Sample]:
        """How many charges wait for a Redis to come back, and how many had to be given up."""
        nodes = self._nodes.values()
        kept, lost = sum(node.kept for node in nodes), sum(node.lost for node in nodes)
        return [(("waiting",), kept), (("lost",), lost)]

    async def close(self) -> None:
        """Let what was posted reach its Redis, then close all connections."""
        for cluster in self._clusters.values():
            await cluster.close()
        for node in self._nodes.values():
            await node.close()
        self._clusters.clear()
        self._nodes.clear()

    def _node(self, address: RedisAddress | SentinelAddress) -> RedisClient:
        client = self._nodes.get(address)
        if client is None:
            if isinstance(address, SentinelAddress):
                client = RedisClient(address.member, partial(locate, address))
            else:
                client = RedisClient(address)
            self._nodes[address] = client
        return client
