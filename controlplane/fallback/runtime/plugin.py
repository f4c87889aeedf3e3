"""What a plugin is: one class a plugin, one instance a configuration."""

import random
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from controlplane.clock import Clock
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.stable_json import stable_json

if TYPE_CHECKING:
    from controlplane.fallback.budgets.limiters import Limiters
    from controlplane.fallback.counters.local import LocalCounters
    from controlplane.fallback.counters.redis_hub import RedisHub
    from controlplane.fallback.health.watching import HealthChecks
    from controlplane.fallback.http.upstream import Pool
    from controlplane.fallback.llm.google import GoogleTokens
    from controlplane.fallback.lua.sandbox import Sandbox
    from controlplane.fallback.metrics.gateway import GatewayMetrics
    from controlplane.fallback.runtime.consumers import Consumers
    from controlplane.fallback.runtime.memory import Memory

Conf = dict[str, Any]
Schema = Mapping[str, Any]
Outcome = Reply | None | Awaitable[Reply | None]

PHASES = ("rewrite", "access", "before_proxy", "header_filter", "body_filter", "log")


@dataclass(frozen=True, slots=True)
class Services:
    """What plugins need of the gateway around them."""

    clock: Clock
    random: random.Random
    counters: "LocalCounters"
    redis: "RedisHub"
    limiters: "Limiters"
    pool: "Pool"
    google: "GoogleTokens"
    sandbox: "Sandbox"
    consumers: "Consumers"
    memory: "Memory"
    health: "HealthChecks"
    metrics: "GatewayMetrics"
    is_current: Callable[[Owner], bool]
    metadata: Callable[[str], Conf | None]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    on_close: Callable[[Callable[[], Awaitable[None]]], None]


class Plugin:
    """A plugin with its configuration (defaults filled in), at work for the object that holds it.

    A phase that a class does not override is not run. `rewrite`, `access` and `before_proxy` may answer the
    request themselves with a Reply, or return something to await that does.
    """

    name: ClassVar[str]
    priority: ClassVar[int]
    schema: ClassVar[Schema]
    consumer_schema: ClassVar[Schema | None] = None
    metadata_schema: ClassVar[Schema | None] = None
    is_auth: ClassVar[bool] = False
    yields_to_route: ClassVar[bool] = False
    secrets: ClassVar[tuple[str, ...]] = ()
    consumer_secrets: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[float] = 0.1

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        self.conf = conf
        self.owner = owner
        self.services = services

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        """What is wrong with a configuration that meets the schema, or None."""
        return None

    @classmethod
    def in_other_words(cls, conf: Conf, problem: str) -> str:
        """How APISIX says that a configuration does not meet the schema, where it has words of its own."""
        return problem

    @cached_property
    def conf_version(self) -> str:
        """A checksum of the configuration: the same on every node, and on a real APISIX."""
        return conf_version({**self.conf, "_meta": self.conf.get("_meta", {})})

    def runs(self, phase: str) -> bool:
        """Whether this configuration has something to do in a phase that the class has."""
        return True

    def rewrite(self, context: Context) -> Outcome:
        """Before the consumer's own plugins are known."""
        raise NotImplementedError

    def access(self, context: Context) -> Outcome:
        """Before the provider is called, with the consumer's plugins merged in."""
        raise NotImplementedError

    def before_proxy(self, context: Context) -> Outcome:
        """The last thing before the call; an AI plugin makes the call here."""
        raise NotImplementedError

    def header_filter(self, context: Context) -> None:
        """The answer's status and headers are known and can be changed."""
        raise NotImplementedError

    def body_filter(self, context: Context, data: bytes, last: bool) -> bytes:
        """A part of the answer's body; what is returned is sent."""
        raise NotImplementedError

    def log(self, context: Context) -> None:
        """The answer is complete."""
        raise NotImplementedError


def conf_version(conf: Conf) -> str:
    """The checksum by which APISIX tells configurations apart."""
    return str(zlib.crc32(stable_json(conf).encode()))
