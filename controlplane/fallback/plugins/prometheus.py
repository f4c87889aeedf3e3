"""prometheus: counts requests, latencies, bytes and tokens, by route, service, consumer and model."""

from collections.abc import Mapping
from typing import Any, ClassVar

from controlplane.fallback.lua_values import tonumber
from controlplane.fallback.metrics.gateway import LABELS, STRUCTURAL
from controlplane.fallback.metrics.registry import Labels
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services
from controlplane.fallback.runtime.variables import variable

_MOST_MODEL = 128
_GETTERS = {
    name: variable(name) for name in ("request_type", "request_llm_model", "llm_model", "balancer_ip")
}


def _metadata_schema() -> Schema:
    return {
        "type": "object",
        "properties": {
            "disabled_labels": {
                "type": "object",
                "properties": {
                    metric: {
                        "type": "array",
                        "items": {
                            "type": "string",
                            "enum": [label for label in labels if label not in STRUCTURAL.get(metric, ())],
                        },
                    }
                    for metric, labels in LABELS.items()
                },
                "additionalProperties": False,
            }
        },
    }


class Prometheus(Plugin):
    """One set of series for the gateway; a route's own configuration goes before a global rule's."""

    name = "prometheus"
    priority = 500
    version = 0.2
    yields_to_route = True
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {"prefer_name": {"type": "boolean", "default": False}},
    }
    metadata_schema: ClassVar[Schema] = _metadata_schema()

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        disabled: Mapping[str, list[str]] = (services.metadata(self.name) or {}).get("disabled_labels", {})
        self._hidden = {metric: frozenset(labels) for metric, labels in disabled.items()}

    def access(self, context: Context) -> None:
        if context.call is not None:
            labels = self._labels("llm_active_connections", self._active(context))
            context.notes[self] = labels
            self.services.metrics.active.add(1, labels)

    def log(self, context: Context) -> None:
        metrics, values = self.services.metrics, self._values(context)
        active: Labels | None = context.notes.pop(self, None)
        if active is not None:
            metrics.active.add(-1, active)
        metrics.status.add(1, self._labels("http_status", values))
        self._latencies(context, values)
        for kind, size in (("ingress", context.request_bytes), ("egress", context.answer_bytes)):
            metrics.bandwidth.add(size, self._labels("bandwidth", {**values, "type": kind}))
        if values["request_type"] in ("ai_chat", "ai_stream"):
            self._tokens(context, values)

    def _latencies(self, context: Context, values: dict[str, str]) -> None:
        total = context.elapsed * 1000
        seconds = tonumber(context.values.get("upstream_response_time"))
        upstream = seconds * 1000 if seconds is not None else None
        spent = {"request": total, "apisix": max(total - (upstream or 0), 0)}
        if upstream is not None:
            spent["upstream"] = upstream
        for kind, milliseconds in spent.items():
            labels = self._labels("http_latency", {**values, "type": kind})
            self.services.metrics.latency.observe(milliseconds, labels)

    def _tokens(self, context: Context, values: dict[str, str]) -> None:
        metrics = self.services.metrics
        first = _milliseconds(context, "llm_time_to_first_token")
        if first is not None and context.status < 400:
            kinds = {"total": context.elapsed * 1000 if context.call and context.call.streaming else first}
            if values["request_type"] == "ai_stream":
                kinds["ttft"] = first
            for kind, milliseconds in kinds.items():
                labels = self._labels("llm_latency", {**values, "type": kind})
                metrics.llm_latency.observe(milliseconds, labels)
        prompt = tonumber(variable("llm_prompt_tokens")(context)) or 0
        completion = tonumber(variable("llm_completion_tokens")(context)) or 0
        metrics.prompt_tokens.add(prompt, self._labels("llm_prompt_tokens", values))
        metrics.prompt_tokens_spread.observe(prompt, self._labels("llm_prompt_tokens_dist", values))
        metrics.completion_tokens.add(completion, self._labels("llm_completion_tokens", values))
        metrics.completion_tokens_spread.observe(
            completion, self._labels("llm_completion_tokens_dist", values)
        )

    def _labels(self, metric: str, values: Mapping[str, str]) -> Labels:
        hidden = self._hidden.get(metric)
        if hidden is None:
            return tuple([values[name] for name in LABELS[metric]])
        return tuple(["" if name in hidden else values[name] for name in LABELS[metric]])

    def _active(self, context: Context) -> dict[str, str]:
        """The labels of a call that begins: by name and by id, whatever `prefer_name` says."""
        plan, call = context.plan, context.call
        asked = _GETTERS["request_llm_model"](context)
        forced = call.target.options.get("model") if call is not None and call.target is not None else None
        values = {**self._values(context), "llm_model": _model(forced or asked)}
        if plan is not None:
            values.update(
                route=plan.route_name or "",
                route_id=plan.route_id,
                service=plan.service_name or "",
                service_id=plan.service_id or "",
            )
        return values

    def _values(self, context: Context) -> dict[str, str]:
        """Every label's value for a request."""
        plan, consumer = context.plan, context.consumer
        values = {
            "code": str(context.status),
            "route": "",
            "route_id": "",
            "service": "",
            "service_id": "",
            "matched_uri": context.matched_uri,
            "matched_host": context.matched_host,
            "consumer": consumer.username if consumer is not None else "",
            "node": _GETTERS["balancer_ip"](context) or "",
            "request_type": _GETTERS["request_type"](context),
            "request_llm_model": _model(_GETTERS["request_llm_model"](context)),
            "llm_model": _model(_GETTERS["llm_model"](context)),
            "response_source": "upstream" if context.from_upstream else "apisix",
        }
        if plan is not None:
            named = self.conf["prefer_name"]
            route = (plan.route_name if named else None) or plan.route_id
            service = ((plan.service_name if named else None) or plan.service_id) or ""
            values.update(route=route, route_id=route, service=service, service_id=service)
        return values


def _model(value: Any) -> str:  # whatever a client has put there
    if value is None:
        return ""
    return str(value)[:_MOST_MODEL] if isinstance(value, str | int | float) else "<non-scalar>"


def _milliseconds(context: Context, name: str) -> float | None:
    """A duration that has been measured; the variable's default stands for none."""
    return tonumber(context.values.get(name))
