"""`_meta`: what every plugin's configuration may say about how the plugin is run."""

from collections.abc import Callable
from typing import Any

from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.expressions import Condition, compile_expression
from controlplane.fallback.runtime.plugin import Outcome, Plugin

Step = Callable[[Context], Outcome]
Filter = Callable[[Context], None]
BodyFilter = Callable[[Context, bytes, bool], bytes]


def is_disabled(conf: dict[str, Any]) -> bool:
    meta = conf.get("_meta")
    return isinstance(meta, dict) and meta.get("disable") is True


def priority_of(plugin: Plugin) -> int:
    meta = plugin.conf.get("_meta") or {}
    return int(meta.get("priority", plugin.priority))


def condition_of(plugin: Plugin) -> Condition | None:
    """Whether the plugin runs for a request; decided once a request, when it is first asked."""
    rules = (plugin.conf.get("_meta") or {}).get("filter")
    if not rules:
        return None
    expression = compile_expression(rules)
    note = (id(plugin), "filter")

    def applies(context: Context) -> bool:
        if note not in context.notes:
            context.notes[note] = expression(context)
        return bool(context.notes[note])

    return applies


def guarded_step(plugin: Plugin, phase: str, applies: Condition | None) -> Step:
    """A phase that may answer, with the plugin's filter and its own error text."""
    run: Step = getattr(plugin, phase)
    message = (plugin.conf.get("_meta") or {}).get("error_response")
    if message is not None:
        run = _with_message(run, message)
    if applies is None:
        return run
    plain = run
    return lambda context: plain(context) if applies(context) else None


def guarded_filter(run: Filter, applies: Condition | None) -> Filter:
    if applies is None:
        return run
    return lambda context: run(context) if applies(context) else None


def guarded_body_filter(run: BodyFilter, applies: Condition | None) -> BodyFilter:
    if applies is None:
        return run
    return lambda context, data, last: run(context, data, last) if applies(context) else data


def _with_message(run: Step, message: Any) -> Step:
    """Whatever the plugin says when it refuses, the caller sees only this message."""

    async def step(context: Context) -> Reply | None:
        outcome = run(context)
        reply = outcome if isinstance(outcome, Reply) or outcome is None else await outcome
        return Reply(reply.status, message) if type(reply) is Reply and reply.status >= 400 else reply

    return step
