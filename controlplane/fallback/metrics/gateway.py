"""The metrics of a gateway; the names, labels and buckets are APISIX's."""

import socket
from collections.abc import Callable, Iterable, Mapping

from controlplane.fallback.metrics.registry import (
    Computed,
    Counter,
    Gauge,
    Histogram,
    Metric,
    Sample,
    exposition,
)

VERSION = "3.18.0"

_LATENCIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000)
_TOKENS = (
    *(1, 10, 50, 100, 200, 500, 1000, 2000, 5000, 10000),
    *(20000, 50000, 100000, 200000, 500000, 1000000),
)
_MODELS = ("request_type", "request_llm_model", "llm_model")
_BY_NAME = ("route", "service", "consumer", "node", *_MODELS)
_BY_ID = ("route_id", "service_id", "consumer", "node", *_MODELS)

LABELS: Mapping[str, tuple[str, ...]] = {
    "http_status": (
        *("code", "route", "matched_uri", "matched_host", "service", "consumer", "node"),
        *(*_MODELS, "response_source"),
    ),
    "http_latency": ("type", *_BY_NAME),
    "bandwidth": ("type", *_BY_NAME),
    "llm_latency": ("type", *_BY_ID),
    "llm_prompt_tokens": _BY_ID,
    "llm_completion_tokens": _BY_ID,
    "llm_active_connections": (
        *("route", "route_id", "matched_uri", "matched_host", "service", "service_id", "consumer", "node"),
        *_MODELS,
    ),
    "llm_prompt_tokens_dist": _BY_ID,
    "llm_completion_tokens_dist": _BY_ID,
}
# What makes a series what it is cannot be left out.
STRUCTURAL: Mapping[str, tuple[str, ...]] = {
    "http_status": ("code",),
    "http_latency": ("type",),
    "bandwidth": ("type",),
    "llm_latency": ("type",),
}


class GatewayMetrics:
    """Everything that is counted. What is asked for only when somebody looks is given to `watch`."""

    def __init__(self) -> None:
        self.status = Counter(*_named("http_status", "HTTP status codes per service in APISIX"))
        self.latency = Histogram(
            *_named("http_latency", "HTTP request latency in milliseconds per service in APISIX"), _LATENCIES
        )
        self.bandwidth = Counter(
            *_named("bandwidth", "Total bandwidth in bytes consumed per service in APISIX")
        )
        self.llm_latency = Histogram(
            *_named("llm_latency", "LLM request latency in milliseconds"), _LATENCIES
        )
        self.prompt_tokens = Counter(*_named("llm_prompt_tokens", "LLM service consumed prompt tokens"))
        self.completion_tokens = Counter(
            *_named("llm_completion_tokens", "LLM service consumed completion tokens")
        )
        self.active = Gauge(*_named("llm_active_connections", "Number of active connections to LLM service"))
        self.prompt_tokens_spread = Histogram(
            *_named("llm_prompt_tokens_dist", "LLM prompt tokens distribution per request"), _TOKENS
        )
        self.completion_tokens_spread = Histogram(
            *_named("llm_completion_tokens_dist", "LLM completion tokens distribution per request"), _TOKENS
        )
        self._metrics: list[Metric] = [
            self.status,
            self.latency,
            self.bandwidth,
            self.llm_latency,
            self.prompt_tokens,
            self.completion_tokens,
            self.active,
            self.prompt_tokens_spread,
            self.completion_tokens_spread,
        ]
        self.watch("node_info", "Info of APISIX node", ("hostname", "version"), _node)

    def watch(
        self,
        name: str,
        help_text: str,
        labels: tuple[str, ...],
        samples: Callable[[], Iterable[Sample]],
        *,
        kind: str = "gauge",
    ) -> None:
        """Report what `samples` returns whenever the metrics are read."""
        self._metrics.append(Computed(f"apisix_{name}", help_text, labels, samples, kind=kind))

    def text(self) -> str:
        """All metrics in Prometheus' text format."""
        return exposition(self._metrics)


def _named(name: str, help_text: str) -> tuple[str, str, tuple[str, ...]]:
    return f"apisix_{name}", help_text, LABELS[name]


def _node() -> Iterable[Sample]:
    return [((socket.gethostname(), VERSION), 1)]
