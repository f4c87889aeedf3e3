"""What a client is told: a refusal with its reason, and where it stands."""

import math
from collections.abc import Collection, Iterable, Mapping

from controlplane.fallback.counters.rate_limit import HeaderNames
from controlplane.fallback.http.headers import ResponseHeaders
from controlplane.fallback.runtime.context import Reply
from controlplane.limiter.results import Degraded, Refusal, Rejected, Usage

_HELD_S = 1.0
DEGRADED_HEADER = "X-Sluice-Degraded"
_TOO_LARGE = "This request can never fit: it is larger than the limit. Ask for less, or raise the limit."


def refused(
    rejected: Rejected,
    titles: Mapping[str, str],
    headers: ResponseHeaders,
    *,
    code: int,
    message: str | None,
) -> Reply:
    """The answer to a call that does not fit."""
    binding = rejected.binding
    if binding is None:
        show_degraded(headers, rejected.unavailable)
        headers.set("Retry-After", "1")
        text = "The budget of this call cannot be checked at the moment."
        return _reply(503, "budget_unavailable", message or text, {})
    details = _details(binding, titles)
    show_degraded(headers, rejected.unavailable)
    if not rejected.retry_helps:
        headers.set("X-Should-Retry", "false")
        return _reply(400, "request_too_large", message or _TOO_LARGE, {**details, "retry": False})
    wait = max(map(_wait, rejected.refusals))
    headers.set("Retry-After", str(max(1, math.ceil(wait))))
    headers.set("Retry-After-Ms", str(math.ceil(wait * 1000)))
    text = f"The limit {details['scope']} is used up. Try again after the time that Retry-After names."
    more = {**details, "retry": True, "retry_after_ms": math.ceil(wait * 1000)}
    return _reply(code, "rate_limit_exceeded", message or text, more)


def unbounded(reasons: str) -> Reply:
    """The answer to a call whose size a strict limit cannot know."""
    text = f"A strict limit needs to know how large this call is at most: {reasons}."
    return _reply(400, "unbounded_request", text, {"retry": False})


def header_names(number: int) -> HeaderNames:
    """The headers in which a client reads where it stands with one of several limits."""
    prefix = f"X-AI-{number}-RateLimit"
    return HeaderNames(f"{prefix}-Limit", f"{prefix}-Remaining", f"{prefix}-Reset")


def show_standing(
    headers: ResponseHeaders, usages: Iterable[Usage], names: Mapping[str, HeaderNames]
) -> None:
    """For each limit how much fits, how much is left, and in how many seconds all of it is there again."""
    for limit, _, used, reserved, resets_in in usages:
        most = limit.rule.limit
        names[limit.name].write(headers, most, max(0, most - used - reserved), math.ceil(resets_in))


def clear_refusal(headers: ResponseHeaders) -> None:
    """Another member has room: what was said about the one before it is no longer so."""
    for name in ("Retry-After", "Retry-After-Ms", "X-Should-Retry"):
        headers.set(name, None)


def show_degraded(headers: ResponseHeaders, degraded: Collection[Degraded]) -> None:
    """That some limits were not held by the shared counters, and what was done instead."""
    if degraded:
        headers.set(DEGRADED_HEADER, ", ".join(sorted({one.how.value for one in degraded})))


def _wait(refusal: Refusal) -> float:
    """When to try again. What calls under way do not use comes back when they end."""
    held = refusal.used + refusal.requested <= refusal.limit.rule.limit
    return min(refusal.retry_after or 0.0, _HELD_S) if held else refusal.retry_after or 0.0


def _details(refusal: Refusal, titles: Mapping[str, str]) -> dict[str, object]:
    return {
        "scope": titles.get(refusal.limit.name, refusal.limit.name),
        "meter": refusal.limit.meter,
        "limit": refusal.limit.rule.limit,
        "used": refusal.used,
        "reserved": refusal.reserved,
        "requested": refusal.requested,
    }


def _reply(status: int, code: str, message: str, details: Mapping[str, object]) -> Reply:
    """In a form that the SDKs of OpenAI and of Anthropic both read."""
    error = {"message": message, "type": code, "param": None, "code": code, **details}
    return Reply(status, {"type": "error", "error": error})
