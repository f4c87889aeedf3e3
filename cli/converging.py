"""Waiting until every gateway enforces a revision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cli.service import Json, Service
from controlplane.clock import Clock

POLL_S = 0.05
LONGEST_POLL_S = 0.5
ENFORCING = ("converged", "drifted")
"""Drift that is only reported is no reason to wait: what was declared is enforced beside it."""

PATIENCE_S = 5.0
"""Time for several passes: a gateway that refuses an object through all of them goes on refusing it."""


@dataclass(frozen=True)
class Convergence:
    """How the enabled gateways stood when the waiting ended."""

    revision: int
    gateways: Sequence[Json]

    @property
    def behind(self) -> list[Json]:
        return [gateway for gateway in self.gateways if not _converged(gateway, self.revision)]

    @property
    def done(self) -> bool:
        return not self.behind


def wait_until_converged(
    service: Service,
    revision: int,
    timeout_s: float,
    clock: Clock,
    sleep: Callable[[float], None] | None = None,
    moved: Callable[[Sequence[Json]], float | None] = lambda _: None,
) -> Convergence:
    """Wait for every enabled gateway, and not for one that has refused its objects for a while.

    `moved` is called with the gateways whenever they were looked at, and may say which part of all is done:
    a service that has thousands of objects to write is not asked for them all the time.
    """
    sleep = sleep or _Passes(service).wait
    began = clock.monotonic()
    deadline = began + timeout_s
    refusing_since: dict[str, float] = {}
    while True:
        gateways = [item for item in service.items("gateways") if item.get("enabled", True)]
        part = moved(gateways)
        now, convergence = clock.monotonic(), Convergence(revision, gateways)
        refusing_since = {
            gateway["name"]: refusing_since.get(gateway["name"], now)
            for gateway in convergence.behind
            if gateway["status"]["state"] == "degraded"
        }
        hopeless = {name for name, since in refusing_since.items() if now - since >= PATIENCE_S}
        if now >= deadline or all(gateway["name"] in hopeless for gateway in convergence.behind):
            return convergence
        sleep(min(_pause_s(now - began, part), max(deadline - now, POLL_S)))


class _Passes:
    """Waiting that ends as soon as the service has ended a pass over a gateway."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._heard: dict[str, str] = {}

    def wait(self, seconds: float) -> None:
        """Not at all the first time: what had ended before that is not known yet."""
        within = {"within_ms": str(max(1, round(seconds * 1000)))} if self._heard else {}
        self._heard = {"after": self._service.get("passes", **self._heard, **within)["mark"]}


def _pause_s(waited_s: float, part: float | None) -> float:
    """Half of what the rest will take if it goes on as it went; until something is known, of what it took."""
    rest_s = waited_s * (1 - part) / part if part else waited_s
    return min(max(POLL_S, rest_s / 2), LONGEST_POLL_S)


def _converged(gateway: Json, revision: int) -> bool:
    status = gateway["status"]
    there = status["state"] in ENFORCING and status["applied_revision"] >= revision
    return bool(there and not status.get("healing"))


def failed_objects(service: Service, owners: Sequence[tuple[str, str]]) -> list[Json]:
    """The gateway objects of these (plural, name) whose last write failed."""
    from cli.service import path_of

    return [
        item
        for plural, name in owners
        for item in service.get(path_of(plural, name, "objects"))["items"]
        if item["state"] == "failed"
    ]
