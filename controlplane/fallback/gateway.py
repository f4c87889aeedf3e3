"""The gateway as one thing that can be started: the Admin API, the traffic, and what is between them."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.clock import Clock, SystemClock
from controlplane.errors import InvalidSettings
from controlplane.fallback.admin.api import AdminApi
from controlplane.fallback.admin.catalogue import Catalogue
from controlplane.fallback.admin.checks import Checks
from controlplane.fallback.admin.resources import Resources
from controlplane.fallback.budgets.limiters import Limiters
from controlplane.fallback.counters.local import LocalCounters
from controlplane.fallback.counters.redis_hub import RedisHub
from controlplane.fallback.forwarding.forwarder import Forwarder
from controlplane.fallback.health.watching import HealthChecks
from controlplane.fallback.http.limits import Limits
from controlplane.fallback.http.server import Server
from controlplane.fallback.http.upstream import Pool
from controlplane.fallback.llm.google import GoogleTokens
from controlplane.fallback.lua.sandbox import Sandbox
from controlplane.fallback.metrics.gateway import GatewayMetrics
from controlplane.fallback.plugins.registry import REGISTRY, secret_paths
from controlplane.fallback.routing.router import Router
from controlplane.fallback.runtime.consumers import Consumers
from controlplane.fallback.runtime.memory import Memory
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plans import Plans
from controlplane.fallback.runtime.plugin import Conf, Services
from controlplane.fallback.runtime.randomness import BulkRandom
from controlplane.fallback.runtime.traffic import Traffic
from controlplane.fallback.secrets.asking import Asker
from controlplane.fallback.secrets.keeper import Secrets
from controlplane.fallback.state.objects import PREFIX
from controlplane.fallback.state.store import Store
from controlplane.settings import Settings

_SWEEP_S = 5.0


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Where the gateway listens, where it keeps its objects, and who may change them."""

    folder: Path
    admin_key: str
    host: str = "127.0.0.1"
    port: int = 0
    admin_port: int = 0
    master_key: bytes | None = None
    drain_s: float = 30.0
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_settings(cls, settings: Settings) -> "GatewayConfig":
        """The configuration of a gateway that runs as a process of its own."""
        if settings.fallback_admin_key is None:
            raise InvalidSettings(
                "the fallback gateway needs a key for its Admin API",
                remedy="set SLUICE_FALLBACK_ADMIN_KEY; `ctl up` generates one",
            )
        master = settings.master_key
        return cls(
            folder=settings.home / "gateway",
            admin_key=settings.fallback_admin_key.get_secret_value(),
            host=settings.host,
            port=settings.gateway_port,
            admin_port=settings.gateway_admin_port,
            master_key=base64.b64decode(master.get_secret_value()) if master is not None else None,
        )


class Gateway:
    """A running gateway."""

    def __init__(self, traffic: Server, admin: Server, host: str, services: Services, store: Store) -> None:
        self._traffic = traffic
        self._admin = admin
        self._host = host
        self.services = services
        self.store = store

    @property
    def url(self) -> str:
        """Where clients send their calls."""
        return f"http://{self._host}:{self._traffic.port}"

    @property
    def admin_url(self) -> str:
        """Where the Admin API is."""
        return f"http://{self._host}:{self._admin.port}"

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        config: GatewayConfig,
        *,
        clock: Clock | None = None,
        chance: random.Random | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> AsyncIterator["Gateway"]:
        """Serve until the block ends; then open streams may finish for `drain_s` seconds.

        `environ` is where `$env://NAME` in configurations is looked up, and Google's usual service account.
        """
        clock = clock or SystemClock()
        async with AsyncExitStack() as stack:
            store = Store.open(config.folder, config.master_key, secret_paths)
            stack.callback(store.close)
            pool = Pool()
            stack.push_async_callback(pool.close)
            asker, environ = Asker(pool), environ or {}
            secrets = Secrets(store, environ, asker, clock)
            google = GoogleTokens(asker, clock, environ.get("GCP_SERVICE_ACCOUNT"))
            services = await _services(
                stack, store, clock, chance or BulkRandom(), pool, google, Consumers(store, secrets)
            )
            plans = Plans(store, REGISTRY, services, secrets)
            await secrets.fetch()
            services.spawn(secrets.keep_fresh())
            router = Router(store)
            forwarder = Forwarder(services, config.limits.body_bytes)
            traffic = Traffic(router, plans, forwarder, clock, body_limit=config.limits.body_bytes)
            checks = Checks(store, REGISTRY, services)
            admin = AdminApi(
                config.admin_key,
                Resources(store, checks, clock),
                checks,
                Catalogue(REGISTRY),
                services.metrics.text,
                secrets,
            )
            admin_server = await stack.enter_async_context(
                Server.listen(
                    config.host,
                    config.admin_port,
                    admin.handle,
                    limits=config.limits,
                    drain_s=5.0,
                    setting="SLUICE_GATEWAY_ADMIN_PORT",
                )
            )
            traffic_server = await stack.enter_async_context(
                Server.listen(
                    config.host,
                    config.port,
                    traffic.handle,
                    limits=config.limits,
                    drain_s=config.drain_s,
                    setting="SLUICE_GATEWAY_PORT",
                )
            )
            _watch(services, traffic_server)
            yield cls(traffic_server, admin_server, config.host, services, store)


async def _services(
    stack: AsyncExitStack,
    store: Store,
    clock: Clock,
    chance: random.Random,
    pool: Pool,
    google: GoogleTokens,
    consumers: Consumers,
) -> Services:
    """Everything that plugins work with; closed with the stack."""
    background: set[asyncio.Task[None]] = set()
    closers: list[Callable[[], Awaitable[None]]] = []

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        background.add(task)
        task.add_done_callback(background.discard)

    def metadata(name: str) -> Conf | None:
        stored = store.get(f"/plugin_metadata/{name}")
        return stored.value if stored is not None else None

    def is_current(owner: Owner) -> bool:
        stored = store.get(owner.resource_key.removeprefix(PREFIX))
        return stored is not None and stored.modified_index == owner.version

    async def close_plugins() -> None:
        await asyncio.gather(*(close() for close in closers), return_exceptions=True)

    async def stop_background() -> None:
        for task in list(background):
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    redis, limiters = RedisHub(), Limiters(clock)
    stack.push_async_callback(redis.close)
    stack.push_async_callback(limiters.close)
    stack.push_async_callback(stop_background)
    stack.push_async_callback(close_plugins)
    spawn(_sweep(pool))
    return Services(
        clock=clock,
        random=chance,
        counters=LocalCounters(clock),
        redis=redis,
        limiters=limiters,
        pool=pool,
        google=google,
        sandbox=Sandbox(clock),
        consumers=consumers,
        memory=Memory(),
        health=HealthChecks(pool, spawn),
        metrics=GatewayMetrics(),
        is_current=is_current,
        metadata=metadata,
        spawn=spawn,
        on_close=closers.append,
    )


def _watch(services: Services, traffic: Server) -> None:
    """What the metrics look up when they are read."""
    watch = services.metrics.watch
    watch(
        "nginx_http_current_connections",
        "Number of HTTP connections",
        ("state",),
        lambda: _connections(traffic),
    )
    watch(
        "http_requests_total",
        "The total number of client requests since APISIX started",
        (),
        lambda: [((), traffic.requests)],
    )
    watch(
        "consumer_last_used",
        "When a consumer has called last, in seconds since the epoch",
        ("consumer",),
        services.consumers.uses,
    )
    watch(
        "redis_charges",
        "Charges and freed slots of limiting plugins that wait for Redis, or that were lost",
        ("state",),
        services.redis.posted,
    )
    watch(
        "token_budget_degraded_total",
        "Charges of token-budget that were decided without the shared counters",
        ("how",),
        services.limiters.degraded,
        kind="counter",
    )
    watch(
        "token_budget_settlements",
        "Settlements of token-budget that wait for the shared counters, or that were lost",
        ("state",),
        services.limiters.deferred,
    )
    watch(
        "upstream_status",
        "Upstream status from health check",
        ("name", "ip", "port"),
        services.health.samples,
    )


def _connections(traffic: Server) -> list[tuple[tuple[str], int]]:
    """By their state, in nginx's words; `reading` is counted with `writing`, for both are at work."""
    busy = traffic.busy_connections
    return [
        (("accepted",), traffic.accepted),
        (("handled",), traffic.accepted),
        (("active",), traffic.open_connections),
        (("reading",), 0),
        (("writing",), busy),
        (("waiting",), traffic.open_connections - busy),
    ]


async def _sweep(pool: Pool) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        pool.sweep()
