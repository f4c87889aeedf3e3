"""A queue's limits as the plugin token-budget takes them: see docs/token-budget.md."""

from collections.abc import Sequence

from controlplane.core.desired import Queue
from controlplane.core.enforcement import Placement
from controlplane.core.limits import Limit, Mode, Then
from controlplane.core.objects import Json
from controlplane.core.spec import Fallback

STRICT_OUTPUT_CAP = 4096
"""The most tokens of an answer where a limit is strict and the queue declares no cap of its own."""


def budget_limits(queue: Queue, placements: Sequence[Placement]) -> list[dict[str, Json]]:
    """The plugin's `limits`. A name says what is counted and not how much: an edit keeps the count."""
    return [_limit(queue, placement) for placement in placements]


def output_cap(queue: Queue, placements: Sequence[Placement]) -> int | None:
    """The most tokens of an answer, for the estimate and for strict limits."""
    declared = queue.spec.guards.max_output_tokens
    strict = any(placement.limit.strict for placement in placements)
    return declared or (STRICT_OUTPUT_CAP if strict else None)


def _limit(queue: Queue, placement: Placement) -> dict[str, Json]:
    limit, member = placement.limit, placement.member
    whose = f"queue {queue.spec.name}" + (f", member {member.name}" if member else "")
    counted = (member.name if member else "", limit.meter, _pace_name(limit), limit.by or "")
    made: dict[str, Json] = {
        "name": "/".join((queue.id.hex, *counted)),
        "title": f"{whose}: {limit}"[:256],
        "meter": limit.meter.value,
        "amount": limit.amount,
        **_pace(limit),
    }
    if limit.strict:
        made["strict"] = True
    if limit.by == "key":
        made["by"] = ["$consumer_name"]
    elif limit.header:
        made["by"] = [f"$http_{limit.header.replace('-', '_')}"]
    if member is not None:
        made["member"] = member.name
        if limit.then is Then.FALLBACK or Fallback.RATE_LIMITING in queue.spec.fallback:
            made["then"] = "fallback"
    return made


def _pace(limit: Limit) -> dict[str, Json]:
    if limit.refill_per_s is not None:
        return {"refill_per_s": limit.refill_per_s}
    if limit.is_calendar:
        return {"period": limit.per, "time_zone": limit.time_zone}
    if limit.window_s is None:
        return {}
    window: dict[str, Json] = {"window_s": limit.window_s}
    return window | ({"mode": "sliding"} if limit.mode is Mode.SLIDING else {})


def _pace_name(limit: Limit) -> str:
    """Two windows of one scope are two counters; a bucket stays the same one whatever its pace is."""
    if limit.is_calendar:
        return f"{limit.per}"
    return "bucket" if limit.refill_per_s is not None else f"{limit.window_s or ''}"
