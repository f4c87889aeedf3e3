"""The configuration of token-budget: its JSON Schema, and its limits as the limiter keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from controlplane.errors import InvalidSpec
from controlplane.fallback.plugins.redis_options import by_policy
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.templates import Template, template
from controlplane.limiter.calendar import Period
from controlplane.limiter.limits import (
    CalendarWindow,
    Concurrency,
    FixedWindow,
    Limit,
    OnOutage,
    Rule,
    SlidingWindow,
    TokenBucket,
)
from controlplane.limiter.scopes import ScopedLimit

Conf = Mapping[str, Any]  # Any: a configuration that its schema has checked

_METERS = ["tokens", "prompt_tokens", "completion_tokens", "requests", "concurrency"]
_AMOUNT = {"type": "integer", "minimum": 1, "maximum": 2**53 - 1}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_MEMBER = {"type": "string", "minLength": 1, "maxLength": 100}
_SECONDS = {"type": "number", "exclusiveMinimum": 0, "maximum": 366 * 86400}
_MOST_MADE = 4096
_MOST_LIMITS = 4096
"""More than a queue of the most members, each with an account of its own, can have."""
_PACES = ("window_s", "refill_per_s", "period")

_LIMIT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 256},
        "title": {"type": "string", "minLength": 1, "maxLength": 256},
        "meter": {"type": "string", "enum": _METERS},
        "amount": {"oneOf": [_AMOUNT, _TEXT]},
        "window_s": _SECONDS,
        "mode": {"type": "string", "enum": ["fixed", "sliding"], "default": "fixed"},
        "refill_per_s": {"oneOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1e9}, _TEXT]},
        "period": {"type": "string", "enum": ["day", "week", "month"]},
        "time_zone": {"type": "string", "minLength": 1, "maxLength": 64, "default": "UTC"},
        "strict": {"type": "boolean", "default": False},
        "by": {
            "type": "array",
            "minItems": 1,
            "maxItems": 8,
            "items": {"type": "string", "minLength": 1, "maxLength": 256},
        },
        "absent": {"type": "string", "enum": ["shared", "skip"], "default": "shared"},
        "member": {"oneOf": [_MEMBER, {"type": "array", "minItems": 1, "maxItems": 64, "items": _MEMBER}]},
        "then": {"type": "string", "enum": ["reject", "fallback"], "default": "reject"},
        "on_outage": {
            "type": "string",
            "enum": ["fail_open", "fail_closed", "local"],
            "default": "local",
        },
    },
    "required": ["name", "meter", "amount"],
}

SCHEMA = by_policy(
    {
        "type": "object",
        "properties": {
            "limits": {"type": "array", "minItems": 1, "maxItems": _MOST_LIMITS, "items": _LIMIT},
            "output_cap": _AMOUNT,
            "rejected_code": {"type": "integer", "minimum": 400, "maximum": 599, "default": 429},
            "rejected_msg": {"type": "string", "minLength": 1},
            "show_limit_headers": {"type": "boolean", "default": True},
            "policy": {
                "type": "string",
                "enum": ["local", "redis", "redis-cluster", "redis-sentinel"],
                "default": "local",
            },
        },
        "required": ["limits"],
    }
)


class NoAmount(Exception):
    """What a limit reads from the request is no amount."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit of a configuration."""

    limit: Limit
    scoped: ScopedLimit
    by: tuple[Template, ...]
    skips: bool
    """Whether a call that lacks what `by` names is not counted at all."""
    title: str
    strict: bool
    members: frozenset[str]
    """The members whose calls it counts; every call without any."""
    falls_back: bool
    reads: tuple[Template, Template] | None = None
    """Of a bucket whose size and pace are written in the request by the gateway's own objects."""

    def key(self, context: Context) -> str | None:
        """The counter's key for a call, or None where the call is not counted."""
        if not self.by:
            return ""
        request = {}
        for one in self.by:
            value, resolved = one.resolve(context)
            if resolved:
                request[one.text] = value
            elif self.skips:
                return None
        return self.scoped.key(request)

    def for_call(self, context: Context, made: dict[tuple[str, ...], "Budget"]) -> "Budget":
        """The limit as it is for one call; those that were made before are in `made`. Raises NoAmount."""
        if self.reads is None:
            return self
        amount, pace = (one.text_for(context) for one in self.reads)
        found = made.get((self.limit.name, amount, pace))
        if found is None:
            if len(made) >= _MOST_MADE:
                made.clear()
            found = made[self.limit.name, amount, pace] = self._sized(amount, pace)
        return found

    def _sized(self, amount: str, pace: str) -> "Budget":
        try:
            rule = TokenBucket(int(amount), float(pace))
        except (ValueError, InvalidSpec):
            raise NoAmount(f"{self.limit.name}: {amount!r}, refilled by {pace!r}/s, is no bucket") from None
        return replace(self, limit=replace(self.limit, rule=rule), reads=None)


def budgets_of(conf: Conf) -> tuple[Budget, ...]:
    """The limits of a configuration that `configuration_problem` has found nothing wrong with."""
    return tuple(_budget(limit) for limit in conf["limits"])


def configuration_problem(conf: Conf) -> str | None:
    """What is wrong with a configuration that meets the schema, or None."""
    seen: set[str] = set()
    for number, limit in enumerate(conf["limits"], 1):
        problem = _limit_problem(limit)
        if problem is None and limit["name"] in seen:
            problem = f"name '{limit['name']}' is used twice"
        if problem is not None:
            return f"limits[{number}]: {problem}"
        seen.add(limit["name"])
    return None


def _limit_problem(limit: Conf) -> str | None:
    paces = [name for name in _PACES if name in limit]
    wanted = 0 if limit["meter"] == "concurrency" else 1
    if len(paces) != wanted:
        known = "none of" if wanted == 0 else "exactly one of"
        return f"a limit of {limit['meter']} needs {known} {', '.join(_PACES)}"
    if _is_read(limit) and "refill_per_s" not in limit:
        return "an amount with variables belongs to a bucket, with refill_per_s"
    if limit["mode"] == "sliding" and "window_s" not in limit:
        return "mode sliding needs window_s"
    if limit["then"] == "fallback" and "member" not in limit:
        return "then fallback needs member"
    try:
        ZoneInfo(limit["time_zone"])
    except (OSError, ValueError, KeyError):
        return "time_zone is not known"
    return None


def _budget(limit: Conf) -> Budget:
    by = tuple(limit.get("by", ()))
    kept = Limit(limit["name"], _rule(limit), limit["meter"], OnOutage(limit["on_outage"]))
    return Budget(
        kept,
        ScopedLimit(kept, by),
        tuple(template(text) for text in by),
        skips=limit["absent"] == "skip",
        title=limit.get("title", limit["name"]),
        strict=limit["strict"],
        members=_members(limit.get("member")),
        falls_back=limit["then"] == "fallback",
        reads=(template(str(limit["amount"])), template(str(limit["refill_per_s"])))
        if _is_read(limit)
        else None,
    )


def _members(declared: str | list[str] | None) -> frozenset[str]:
    return frozenset([declared] if isinstance(declared, str) else declared or ())


def _is_read(limit: Conf) -> bool:
    return isinstance(limit["amount"], str) or isinstance(limit.get("refill_per_s"), str)


def _rule(limit: Conf) -> Rule:
    if _is_read(limit):
        return TokenBucket(1, 1.0)
    amount = int(limit["amount"])
    if limit["meter"] == "concurrency":
        return Concurrency(amount)
    if "refill_per_s" in limit:
        return TokenBucket(amount, float(limit["refill_per_s"]))
    if "period" in limit:
        return CalendarWindow(amount, Period(limit["period"]), ZoneInfo(limit["time_zone"]))
    window = SlidingWindow if limit["mode"] == "sliding" else FixedWindow
    return window(amount, float(limit["window_s"]))
