"""What a route's plugins limit, as limits of a queue and of its members."""

import re
from collections.abc import Mapping
from typing import Any

from controlplane.core.importing.notes import Json, Notes, items, mapping, whole

Value = dict[str, Any]  # Any: a declaration

_METERS = {
    "total_tokens": "tokens",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
}
# One variable, maybe behind a text that keeps the counters of several rules apart.
_KEY = re.compile(r"[^$]*\$\{?(?P<name>[a-z0-9_]+)\}?")
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))


def token_limits(about: str, config: Mapping[str, Json], queue: Value, notes: Notes) -> None:
    """Put the limits of `ai-rate-limiting` where they belong: on members, and on the queue."""
    if not config:
        return
    meter = _METERS.get(str(config.get("limit_strategy", "total_tokens")))
    if meter is None:
        notes.add(about, "ai-rate-limiting.limit_strategy is an expression, which no limit has: left out")
        return
    _told_apart(about, "ai-rate-limiting", config, notes)
    each = _window(config.get("limit"), config.get("time_window"), meter)
    if "limit" in config and each is None:
        notes.add(about, "ai-rate-limiting.limit is not carried over: it is no fixed number")
    own: dict[str, Value] = {}
    for item in items(config.get("instances")):
        found = _window(item.get("limit"), item.get("time_window"), meter)
        if found is None:
            notes.add(
                about, "a limit of ai-rate-limiting.instances is not carried over: it is no fixed number"
            )
        else:
            own[str(item.get("name"))] = found
    # Without rules, the limit of all is a counter for each of them.
    for name, member in zip(queue.pop("instances"), queue["members"], strict=True):
        if limit := own.get(name, each):
            member["limits"] = [limit]
    for rule in items(config.get("rules")):
        _rule(about, "ai-rate-limiting", rule, meter, queue, notes)


def request_limits(about: str, plugins: Mapping[str, Json], queue: Value, notes: Notes) -> None:
    """Put what counts requests and concurrency on the queue."""
    count = mapping(plugins.get("limit-count"))
    if count:
        _told_apart(about, "limit-count", count, notes)
        if "group" in count:
            notes.add(about, "limit-count.group is not carried over: each queue counts by itself")
        sliding = {"mode": "sliding"} if count.get("window_type") == "sliding" else {}
        for rule in items(count.get("rules")) or [count]:
            _rule(about, "limit-count", rule, "requests", queue, notes, **sliding)
    rate = mapping(plugins.get("limit-req"))
    if rate:
        by = _by(about, "limit-req", rate, notes)
        amount = int(_number(rate.get("burst")) or 0) + 1
        if by is not None and _number(rate.get("rate")):
            limit = {"requests": amount, "refill_per_s": rate["rate"]}
            queue.setdefault("limits", []).append(limit | by)
    conn = mapping(plugins.get("limit-conn"))
    for rule in (items(conn.get("rules")) or [conn]) if conn else []:
        by = _by(about, "limit-conn", {**conn, **rule}, notes)
        amount = (whole(rule.get("conn")) or 0) + (whole(rule.get("burst")) or 0)
        if by is not None and amount:
            queue.setdefault("limits", []).append({"concurrency": amount} | by)


def _rule(
    about: str, plugin: str, rule: Mapping[str, Json], meter: str, queue: Value, notes: Notes, **more: str
) -> None:
    limit = _window(rule.get("count"), rule.get("time_window"), meter)
    if limit is None:
        notes.add(about, f"{plugin}: a count that is no fixed number is not carried over")
        return
    by = _by(about, plugin, rule, notes)
    if by is not None:
        queue.setdefault("limits", []).append(limit | by | more)


def _by(about: str, plugin: str, config: Mapping[str, Json], notes: Notes) -> Value | None:
    """Who is counted apart; None where no limit of ours counts so."""
    kind, key = config.get("key_type", "var"), str(config.get("key", "remote_addr"))
    if kind == "constant":
        return {}
    variable = _KEY.fullmatch(key if "$" in key else f"${key}")
    name = variable["name"] if variable else ""
    if name == "consumer_name":
        return {"by": "key"}
    if name == "request_llm_model":
        return {"by": "model"}
    if name in ("route_id", "service_id"):
        return {}
    if name.startswith("http_"):
        return {"by": f"header:{name.removeprefix('http_').replace('_', '-')}"}
    notes.add(about, f"{plugin} counts by {name or 'several variables'}, which no limit does: left out")
    return None


def _window(count: Json, window: Json, meter: str) -> Value | None:
    amount, seconds = whole(count), whole(window)
    if not amount or not seconds or amount < 0 or seconds < 0:
        return None
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds % size == 0), (1, "s"))
    return {meter: amount, "per": f"{seconds // size}{unit}"}


def _told_apart(about: str, plugin: str, config: Mapping[str, Json], notes: Notes) -> None:
    """What does not belong to a limit, but to the gateway or to how it refuses."""
    if str(config.get("policy", "local")) != "local":
        notes.add(about, f"{plugin} counts in Redis: declare `redis_url` of the gateway for that")
    if config.get("rejected_code", 503) != 429:
        code = whole(config.get("rejected_code")) or 503
        notes.add(about, f"{plugin} refuses with {code}; a queue refuses with 429 and Retry-After")


def _number(value: Json) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
