"""Limits as the plugin token-budget takes them: see docs/token-budget.md.

A limit's name says what is counted and not how much: an edit keeps the count.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from controlplane.core.accounts import Account
from controlplane.core.desired import Queue
from controlplane.core.enforcement import Placement
from controlplane.core.limits import Limit, Mode, Then
from controlplane.core.objects import Json
from controlplane.core.spec import Fallback

STRICT_OUTPUT_CAP = 4096
"""The most tokens of an answer where a limit is strict and the queue declares no cap of its own."""


def budget_limits(queue: Queue, placements: Sequence[Placement]) -> list[dict[str, Json]]:
    """What a queue's own limits count."""
    return [_limit(queue, placement) for placement in placements]


def account_budgets(accounts: Iterable[Account]) -> list[dict[str, Json]]:
    """What the limits of accounts count: under the same names on whatever object, so in the same counters."""
    found = []
    for account in accounts:
        name = account.provider.spec.name
        for limit in account.provider.spec.limits:
            made = _made(account.provider.id, f"provider {name}", limit)
            if account.members:
                made["member"] = list(account.members)
            if account.falls_back:
                made["then"] = "fallback"
            found.append(made)
    return found


def output_cap(declared: int | None, limits: Iterable[Limit]) -> int | None:
    """The most tokens of an answer, for the estimate and for strict limits."""
    return declared or (STRICT_OUTPUT_CAP if any(limit.strict for limit in limits) else None)


def _limit(queue: Queue, placement: Placement) -> dict[str, Json]:
    limit, member = placement.limit, placement.member
    whose = f"queue {queue.spec.name}" + (f", member {member.name}" if member else "")
    made = _made(queue.id, whose, limit, member.name if member else "")
    if limit.by == "key":
        made["by"] = ["$consumer_name"]
    elif limit.header:
        made["by"] = [f"$http_{limit.header.replace('-', '_')}"]
    if member is not None:
        made["member"] = member.name
        if limit.then is Then.FALLBACK or Fallback.RATE_LIMITING in queue.spec.fallback:
            made["then"] = "fallback"
    return made


def _made(owner: UUID, whose: str, limit: Limit, member: str = "") -> dict[str, Json]:
    """What all limits have, whoever is counted."""
    made: dict[str, Json] = {
        "name": "/".join((owner.hex, member, limit.meter, _pace_name(limit), limit.by or "")),
        "title": f"{whose}: {limit}"[:256],
        "meter": limit.meter.value,
        "amount": limit.amount,
        **_pace(limit),
    }
    if limit.strict:
        made["strict"] = True
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
