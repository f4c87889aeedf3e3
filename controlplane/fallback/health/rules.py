"""What counts as healthy and as unhealthy, and how it is found out: `checks` of an object, compiled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.fallback.schema.health_checks import ACTIVE_CHECK, PASSIVE_CHECK
from controlplane.fallback.schema.validator import check

Conf = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many of what change the mind about a target; 0 is never."""

    healthy_statuses: frozenset[int]
    unhealthy_statuses: frozenset[int]
    successes: int
    http_failures: int
    tcp_failures: int
    timeouts: int


@dataclass(frozen=True, slots=True)
class Probe:
    """How a target is asked, and how often. Without a method a connection is all that is asked for."""

    method: str | None
    path: str
    host: str | None
    port: int | None
    headers: tuple[str, ...]
    body: str
    timeout_s: float
    healthy_every_s: float
    unhealthy_every_s: float
    verify: bool


@dataclass(frozen=True, slots=True)
class HealthRules:
    """Everything about the health of the targets of one object."""

    probe: Probe
    active: Thresholds
    passive: Thresholds | None


def health_rules(checks: Conf) -> HealthRules:
    """The rules of a `checks` that has been checked against the schema; defaults are filled in."""
    active = _filled(checks["active"], ACTIVE_CHECK)
    passive = checks.get("passive")
    probe = Probe(
        method=None if active["type"] == "tcp" else active["http_method"],
        path=active["http_path"],
        host=active.get("host"),
        port=active.get("port"),
        headers=tuple(active.get("req_headers", ())),
        body=active["http_req_body"],
        timeout_s=active["timeout"],
        healthy_every_s=active["healthy"]["interval"],
        unhealthy_every_s=active["unhealthy"]["interval"],
        verify=active["https_verify_certificate"],
    )
    return HealthRules(
        probe, _thresholds(active), _thresholds(_filled(passive, PASSIVE_CHECK)) if passive else None
    )


def _filled(conf: Conf, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the defaults of both halves, which may be left out altogether."""
    copy = {**conf, "healthy": dict(conf.get("healthy", {})), "unhealthy": dict(conf.get("unhealthy", {}))}
    check(schema, copy)
    return copy


def _thresholds(conf: Conf) -> Thresholds:
    healthy, unhealthy = conf["healthy"], conf["unhealthy"]
    return Thresholds(
        healthy_statuses=frozenset(healthy["http_statuses"]),
        unhealthy_statuses=frozenset(unhealthy["http_statuses"]),
        successes=healthy["successes"],
        http_failures=unhealthy["http_failures"],
        tcp_failures=unhealthy["tcp_failures"],
        timeouts=unhealthy["timeouts"],
    )
