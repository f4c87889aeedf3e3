"""A queue's policy: its limits written as the rules and headers of gateway plugins."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from controlplane.core.accounts import Account, limits_of
from controlplane.core.budgets import account_budgets, budget_limits, output_cap
from controlplane.core.contexts import CounterStore, Labels, Pins, PolicyContext
from controlplane.core.desired import Queue
from controlplane.core.enforcement import Mechanism, Placement, Placements
from controlplane.core.guards import guard_plugins
from controlplane.core.levels import BUCKETS, LEVELS_HEADER, STRATEGIES
from controlplane.core.limits import Limit
from controlplane.core.objects import Json, Kind, ObjectKey
from controlplane.core.spec import Fallback, MemberSpec
from controlplane.core.standing import Choice, Standing, choices, level_headers
from controlplane.core.text import CREDENTIAL_HEADERS

QUEUE_HEADER = "X-Sluice-Queue"
NOBODY = "sluice-nobody"
"""A consumer that does not exist: the whitelist of a queue that no key opens."""

REMOVED_HEADERS = tuple(name.title() for name in CREDENTIAL_HEADERS)

REJECTION = (
    '{"error":{"message":"A limit of this queue is used up. Try again after the time that the '
    'Retry-After header names.","type":"rate_limit_exceeded","param":null,"code":"rate_limit_exceeded"}}'
)


_REMAINING = "sent_http_x_ai_ratelimit_remaining"


class Functions(Protocol):
    """Gives the functions that look at calls first; none where the service's own are enough."""

    def __call__(self, *, chooses: bool, caps: bool) -> list[str]: ...


@dataclass
class SetHeaders:
    """The headers that a route sets, gathered limit by limit."""

    values: dict[str, str] = field(default_factory=dict)
    owner: str = QUEUE_HEADER
    """The header that is always there, and says whose limits they are."""

    def variable(self, header: str, value: str) -> str:
        """Set a header and name the variable that reads it."""
        self.values[header] = value
        return "http_" + header.lower().replace("-", "_")


def policy_id(queue: str) -> str:
    return f"q.{queue}"


def queue_policy(
    queue: Queue,
    placements: Placements,
    above: Sequence[Standing],
    accounts: Sequence[Account] = (),
    *,
    object_id: str,
    functions: Functions,
    caps: Mapping[str, Json] | None,
    with_buckets: bool,
    consumers: Sequence[str] | None,
    counters: CounterStore,
    labels: Labels,
) -> PolicyContext:
    """The context of the plugin_config that all routes of the queue share.

    `functions` gives what looks at its calls first: it may have to choose among limits above, where those
    depend on who calls, and to cap requests as `caps` says. `with_buckets` says that the gateway holds
    buckets above queues.
    """
    headers = SetHeaders({QUEUE_HEADER: queue.id.hex, **level_headers(above)})
    levels = placements.of(Mechanism.LEVEL)
    for placement in levels:
        _set_level(headers, queue, placement)
    if levels:
        headers.values[LEVELS_HEADER] = "1"
    counts = [count_rule(headers, item) for item in placements.of(Mechanism.COUNT)]
    concurrency = [concurrency_rule(headers, item) for item in placements.of(Mechanism.CONCURRENCY)]
    buckets = [bucket_of(headers, item) for item in placements.of(Mechanism.BUCKET)]
    members = [_member_rule(headers, item) for item in placements.of(Mechanism.MEMBER)]
    own = placements.of(Mechanism.BUDGET)
    budgets = with_those_above(
        [*budget_limits(queue, own), *account_budgets(accounts)], with_buckets=with_buckets
    )
    limits = [*(item.limit for item in own), *limits_of(accounts)]
    chosen = choices(above)
    texts = functions(chooses=bool(chosen), caps=caps is not None)
    guards = guard_plugins(queue.spec.guards, queue.spec.name)
    return PolicyContext(
        ObjectKey(Kind.PLUGIN_CONFIG, object_id),
        labels,
        f"queue {queue.spec.name}",
        consumers=None if consumers is None else list(consumers) or [NOBODY],
        set_headers=headers.values,
        remove_headers=REMOVED_HEADERS,
        counters=counters,
        counts=counts,
        concurrency=concurrency,
        bucket=buckets[0] if buckets else None,
        members=members,
        strategy=STRATEGIES[placements.strategy],
        guards=guards,
        budgets=budgets,
        output_cap=output_cap(queue.spec.guards.max_output_tokens, limits) if budgets else None,
        functions=texts,
        choices=chosen,
        caps=caps,
        pins={
            **{("plugins", name): conf for name, conf in guards.items()},
            ("plugins", "proxy-rewrite", "headers", "set"): headers.values,
            ("plugins", "limit-count", "rules"): counts or None,
            ("plugins", "limit-conn", "rules"): concurrency or None,
            ("plugins", "limit-req", "rate"): buckets[0]["rate"] if buckets else None,
            ("plugins", "limit-req", "burst"): buckets[0]["burst"] if buckets else None,
            ("plugins", "ai-rate-limiting", "instances"): members or None,
            ("plugins", "token-budget", "limits"): budgets or None,
            **function_pins(texts, chosen, caps),
        },
    )


def bucket_budgets(*, with_buckets: bool) -> list[dict[str, Json]]:
    """The limits of token-budget that count buckets above queues, where there are any."""
    return [bucket.budget for bucket in BUCKETS] if with_buckets else []


def with_those_above(budgets: list[dict[str, Json]], *, with_buckets: bool) -> list[dict[str, Json]]:
    """Limits of token-budget with the buckets above queues, if there are any of either.

    Such a plugin stands in the place of its service's, which holds the buckets otherwise.
    """
    return [*budgets, *bucket_budgets(with_buckets=bool(budgets) and with_buckets)]


def function_pins(
    functions: Sequence[str], chosen: Sequence[Choice], caps: Mapping[str, Json] | None = None
) -> Pins:
    """What no template may change of what looks at calls first."""
    function = ("plugins", "serverless-pre-function")
    if not functions:
        return {}
    return {
        (*function, "functions"): list(functions),
        (*function, "choices"): list(chosen) or None,
        (*function, "caps"): caps,
    }


def _set_level(headers: SetHeaders, queue: Queue, placement: Placement) -> None:
    slot, limit = placement.slot, placement.limit
    assert slot is not None  # noqa: S101 - a level always has its slot
    headers.values[slot.scope_header] = f"{queue.id.hex}.{limit.window_s}" + _who(limit)
    headers.values[slot.limit_header] = str(limit.amount)
    headers.values[slot.window_header] = str(limit.window_s)


def _who(limit: Limit) -> str:
    """What divides a limit's counter among callers, as text with the gateway's variables."""
    if limit.by == "key":
        return ".key.$consumer_name"
    if limit.header:
        return f".{limit.header}.$http_{limit.header.replace('-', '_')}"
    return ""


def _scope(headers: SetHeaders, limit: Limit) -> str:
    """A rule's key: one that always resolves, or the gateway would skip the rule."""
    if limit.by == "key":
        return "key:${consumer_name}"
    if limit.header:
        # A missing header must not switch the limit off: our own header is always there.
        variable = headers.variable(f"X-Sluice-By-{limit.header.title()}", f".$http_{_var(limit.header)}")
        return f"{limit.header}:${{{variable}}}"
    return f"all:${{{headers.variable(headers.owner, headers.values[headers.owner])}}}"


def _var(header: str) -> str:
    return header.replace("-", "_")


def count_rule(headers: SetHeaders, placement: Placement) -> dict[str, str | int]:
    limit = placement.limit
    variable = headers.variable(f"X-Sluice-Requests-{placement.number}", str(limit.amount))
    assert limit.window_s is not None  # noqa: S101 - limit-count holds fixed windows only
    return {
        "count": f"${{{variable} ?? 1}}",
        "time_window": limit.window_s,
        # The window is part of the key: two windows of one scope are two counters.
        "key": f"{limit.window_s}:{_scope(headers, limit)}",
        "header_prefix": "requests" if placement.number == 1 else f"requests-{placement.number}",
    }


def concurrency_rule(headers: SetHeaders, placement: Placement) -> dict[str, str | int]:
    variable = headers.variable(f"X-Sluice-Concurrency-{placement.number}", str(placement.limit.amount))
    return {"conn": f"${{{variable} ?? 1}}", "burst": 0, "key": _scope(headers, placement.limit)}


def bucket_of(headers: SetHeaders, placement: Placement) -> dict[str, str | float]:
    limit = placement.limit
    assert limit.refill_per_s is not None  # noqa: S101 - only a bucket is placed here
    return {
        "rate": limit.refill_per_s,
        # limit-req admits one request more than its burst at once.
        "burst": limit.amount - 1,
        "key": _scope(headers, limit),
    }


def _member_rule(headers: SetHeaders, placement: Placement) -> dict[str, str | int]:
    member, limit = placement.member, placement.limit
    assert member is not None  # noqa: S101 - a member's limit always has its member
    assert limit.window_s is not None  # noqa: S101 - and a window
    # Named by the member and not by its place, so that another member's coming does not reset it.
    header = f"X-Sluice-Member-{zlib.crc32(member.name.encode()):08x}"
    variable = headers.variable(header, str(limit.amount))
    return {"name": member.name, "limit": f"${{{variable} ?? 1}}", "time_window": limit.window_s}


def exhausted(queue: Queue, placements: Placements, members: Sequence[MemberSpec]) -> list[Json] | None:
    """The expression that recognises a route whose members are all used up.

    With a fallback on rate limiting the gateway then answers 503, which clients would not understand.
    """
    if Fallback.RATE_LIMITING not in queue.spec.fallback:
        return None
    limited = {item.member.name for item in placements.of(Mechanism.MEMBER) if item.member}
    usable = {member.name for member in members if member.weight}
    if not usable <= limited:
        return None
    spent = [[f"{_REMAINING}_{_var(name.lower())}", "==", "0"] for name in sorted(usable)]
    return [
        ["upstream_status", "==", None],
        ["OR", ["status", "==", 429], ["AND", ["status", "==", 503], *spent]],
    ]
