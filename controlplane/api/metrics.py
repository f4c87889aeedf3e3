"""How the gateways stand, in the text format of Prometheus."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from litestar import Response, Router, get

from controlplane.api.access import needs
from controlplane.api.bodies import AnyRequest
from controlplane.api.queries import only
from controlplane.api.service import service_of
from controlplane.core.access import Permission
from controlplane.store.records import GatewayStatus, Kind, Query

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("converged", "drifted", "pending", "degraded", "unreachable")
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its samples are label values and a number."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    samples: Iterable[tuple[tuple[str, ...], float]]


@get("/metrics", name="metrics", opt=needs(Permission.READ))
async def metrics(request: AnyRequest) -> Response[str]:
    """State, drift and writes of every gateway, from the database: every replica says the same."""
    only(request, ())
    return Response(rendered(gateway_metrics(await _statuses(request))), media_type=CONTENT_TYPE)


async def _statuses(request: AnyRequest) -> dict[str, GatewayStatus]:
    store = service_of(request).store
    found: dict[str, GatewayStatus] = {}
    cursor = None
    while True:
        page = await store.page(Kind.GATEWAY, Query(limit=_PAGE, cursor=cursor))
        for item in page.items:
            if item.spec.enabled:
                found[item.spec.name] = await store.gateway_status(item.id)
        cursor = page.next_cursor
        if cursor is None:
            return found


def gateway_metrics(statuses: dict[str, GatewayStatus]) -> Iterator[Metric]:
    """What there is to say of the gateways."""
    by = ("gateway",)
    every = list(statuses.items())
    yield Metric(
        "sluice_gateway_state",
        "gauge",
        "1 for the state that the gateway is in.",
        ("gateway", "state"),
        [((name, state), float(status.state == state)) for name, status in every for state in STATES],
    )
    yield Metric(
        "sluice_gateway_objects",
        "gauge",
        "Objects of ours by how their last write ended.",
        ("gateway", "state"),
        [((name, state), count) for name, status in every for state, count in status.objects.items()],
    )
    yield Metric(
        "sluice_gateway_drift_objects",
        "gauge",
        "Objects that somebody changed on the gateway and nobody has put back.",
        by,
        [((name,), status.drift) for name, status in every],
    )
    yield Metric(
        "sluice_gateway_drift_found_total",
        "counter",
        "Edits by hand that were found on the gateway, put back or not.",
        by,
        [((name,), status.drift_found) for name, status in every],
    )
    yield Metric(
        "sluice_gateway_writes_total",
        "counter",
        "Writes to the gateway.",
        by,
        [((name,), status.writes) for name, status in every],
    )
    yield Metric(
        "sluice_gateway_applied_revision",
        "gauge",
        "The newest revision that the gateway enforces whole.",
        by,
        [((name,), status.applied_revision) for name, status in every],
    )
    yield Metric(
        "sluice_gateway_looked_at_seconds",
        "gauge",
        "When the whole gateway was last read for drift, in seconds since 1970.",
        by,
        [((name,), status.looked_at.timestamp()) for name, status in every if status.looked_at],
    )


def rendered(metrics: Iterable[Metric]) -> str:
    """The metrics as Prometheus reads them."""
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for values, number in metric.samples:
            pairs = zip(metric.labels, values, strict=True)
            labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
            lines.append(f"{metric.name}{{{labels}}} {float(number)!r}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def metrics_router() -> Router:
    return Router(path="/", route_handlers=[metrics])
