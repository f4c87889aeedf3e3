"""Asks targets again and again, and remembers what they are worth."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

import structlog

from controlplane.fallback.health.rules import HealthRules, Probe, Thresholds
from controlplane.fallback.http.answers import Origin, Patience, UpstreamFailed
from controlplane.fallback.http.upstream import Pool

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Health:
    """What is known of one target: healthy until enough has failed, and again after enough successes."""

    def __init__(self) -> None:
        self.healthy = True
        self._successes = 0
        self._http_failures = 0
        self._tcp_failures = 0
        self._timeouts = 0

    def answered(self, status: int, thresholds: Thresholds) -> None:
        """The target has answered with a status; one in neither list says nothing."""
        if status in thresholds.healthy_statuses:
            self.connected(thresholds)
        elif status in thresholds.unhealthy_statuses:
            self._successes = 0
            self._http_failures += 1
            self._judge(self._http_failures, thresholds.http_failures)

    def connected(self, thresholds: Thresholds) -> None:
        """The target did what was asked of it."""
        self._http_failures = self._tcp_failures = self._timeouts = 0
        self._successes += 1
        if thresholds.successes and self._successes >= thresholds.successes:
            self.healthy = True

    def failed(self, thresholds: Thresholds, *, timed_out: bool) -> None:
        """The target did not answer."""
        self._successes = 0
        if timed_out:
            self._timeouts += 1
            self._judge(self._timeouts, thresholds.timeouts)
        else:
            self._tcp_failures += 1
            self._judge(self._tcp_failures, thresholds.tcp_failures)

    def _judge(self, count: int, most: int) -> None:
        if most and count >= most:
            self.healthy = False


class HealthChecks:
    """Watches every target that somebody has asked about, for as long as its object stays as it is."""

    def __init__(self, pool: Pool, spawn: Spawn) -> None:
        self._pool = pool
        self._spawn = spawn
        self._watched: dict[Hashable, tuple[tuple[str, str, str], Health]] = {}
        self._log = structlog.get_logger("gateway.health")

    def of(
        self, key: Hashable, name: str, origin: Origin, rules: HealthRules, is_current: Callable[[], bool]
    ) -> Health:
        """What is known of a target; from the first question on it is watched. `name` is for metrics."""
        watched = self._watched.get(key)
        if watched is not None:
            return watched[1]
        health, target = Health(), _target(origin, rules.probe)
        self._watched[key] = ((name, target.host, str(target.port)), health)
        self._spawn(self._watch(key, health, target, rules, is_current))
        return health

    def samples(self) -> list[tuple[tuple[str, str, str], float]]:
        """Name, address and port of every target, and 1 for a healthy one."""
        return [(labels, float(health.healthy)) for labels, health in self._watched.values()]

    async def _watch(
        self,
        key: Hashable,
        health: Health,
        target: Origin,
        rules: HealthRules,
        is_current: Callable[[], bool],
    ) -> None:
        probe = rules.probe
        while is_current():
            before = health.healthy
            await self._ask(target, probe, rules.active, health)
            if health.healthy != before:
                word = "healthy" if health.healthy else "unhealthy"
                self._log.warning("target changed", host=target.host, port=target.port, now=word)
            await asyncio.sleep(probe.healthy_every_s if health.healthy else probe.unhealthy_every_s)
        self._watched.pop(key, None)

    async def _ask(self, target: Origin, probe: Probe, thresholds: Thresholds, health: Health) -> None:
        try:
            if probe.method is None:
                await self._pool.probe(target, probe.timeout_s)
                health.connected(thresholds)
                return
            patience = Patience(timeout_s=probe.timeout_s, keep=0)
            async with asyncio.timeout(probe.timeout_s):
                answer = await self._pool.send(target, _request(target, probe), patience, ("",))
            answer.abort()
            health.answered(answer.status, thresholds)
        except TimeoutError:
            health.failed(thresholds, timed_out=True)
        except UpstreamFailed as error:
            health.failed(thresholds, timed_out=error.timed_out)


def _target(origin: Origin, probe: Probe) -> Origin:
    name = probe.host or origin.server_name
    return Origin(origin.scheme, origin.host, probe.port or origin.port, name, probe.verify)


def _request(target: Origin, probe: Probe) -> bytes:
    lines = [f"{probe.method} {probe.path} HTTP/1.1", f"Host: {probe.host or target.host}"]
    lines += probe.headers
    if probe.body:
        lines.append(f"Content-Length: {len(probe.body.encode())}")
    return "\r\n".join([*lines, "Connection: close", "", probe.body]).encode("utf-8", "replace")
