"""Waiting until every gateway enforces a revision."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cli.service import Json, Service
from controlplane.clock import Clock

POLL_S = 0.05


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
    sleep: Callable[[float], None] = time.sleep,
) -> Convergence:
    """Wait for every enabled gateway; ends early when none of those behind will get further by waiting."""
    deadline = clock.monotonic() + timeout_s
    while True:
        gateways = [item for item in service.items("gateways") if item.get("enabled", True)]
        now = Convergence(revision, gateways)
        waiting = [gateway for gateway in now.behind if not _refused(gateway, revision)]
        if not waiting or clock.monotonic() >= deadline:
            return now
        sleep(POLL_S)


def _converged(gateway: Json, revision: int) -> bool:
    status = gateway["status"]
    return bool(status["state"] == "converged" and status["applied_revision"] >= revision)


def _refused(gateway: Json, revision: int) -> bool:
    """Whether a pass over this revision has ended with objects that the gateway does not take."""
    status = gateway["status"]
    return bool(status["state"] == "degraded" and status["applied_revision"] >= revision)


def failed_objects(service: Service, owners: Sequence[tuple[str, str]]) -> list[Json]:
    """The gateway objects of these (plural, name) whose last write failed."""
    from cli.service import path_of

    return [
        item
        for plural, name in owners
        for item in service.get(path_of(plural, name, "objects"))["items"]
        if item["state"] == "failed"
    ]
