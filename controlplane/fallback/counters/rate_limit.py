"""Windows of requests or tokens, with rules: the engine of limit-count and ai-rate-limiting."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import structlog

from controlplane.fallback.counters.local import LocalCounters
from controlplane.fallback.counters.redis_connection import Argument
from controlplane.fallback.counters.redis_hub import Client
from controlplane.fallback.counters.scripts import script
from controlplane.fallback.counters.windows import CountersGone, Standing, Window
from controlplane.fallback.http.headers import ResponseHeaders
from controlplane.fallback.lua_values import tonumber, tostring
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.templates import Template, template
from controlplane.fallback.runtime.variables import variable

_MOST = 2**53 - 1
_NO_PROBE = -(2**53)


class UnusableRule(Exception):
    """A rule applies, but its limit or window is no positive integer."""


class HeaderNames:
    """The response headers that tell a client where it stands."""

    __slots__ = ("_keys", "_names", "_sent")

    def __init__(self, limit: str, remaining: str, reset: str) -> None:
        self._names = (limit, remaining, reset)
        self._sent = [_sent_name(name) for name in self._names]
        self._keys = [name.lower() for name in self._sent]

    def prefixed(self, prefix: str) -> "HeaderNames":
        """The names for one rule of several."""
        return HeaderNames(*(name.replace("RateLimit-", f"{prefix}-RateLimit-", 1) for name in self._names))

    def write(self, headers: ResponseHeaders, limit: int, remaining: int, reset: float) -> None:
        """Say how much fits, how much is left, and in how many seconds it starts anew."""
        sent_limit, sent_remaining, sent_reset = self._sent
        limit_key, remaining_key, reset_key = self._keys
        in_s = f"{reset}" if type(reset) is int else tostring(reset)
        headers.put(
            (
                (limit_key, (sent_limit, f"{limit}")),
                (remaining_key, (sent_remaining, f"{remaining}")),
                (reset_key, (sent_reset, in_s)),
            )
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit: how much, how long, and whose counter."""

    count: int | Template
    seconds: int | Template
    key: str | Template
    key_kind: str
    headers: HeaderNames

    @property
    def needs(self) -> str | None:
        """The request header without which the rule does not apply, if there is such a one."""
        return self.key.needs if isinstance(self.key, Template) and self.key_kind == "rule" else None

    def window(self, context: Context, prefix: str, suffix: str) -> Window | None:
        """The counter for a request, or None where the rule does not apply to it."""
        key = self._key(context)
        if key is None:
            return None
        return Window(f"{prefix}{key}{suffix}", _number(self.count, context), _number(self.seconds, context))

    def _key(self, context: Context) -> str | None:
        if isinstance(self.key, Template):
            text, resolved = self.key.resolve(context)
            if resolved == 0:
                return None if self.key_kind == "rule" else context.client_ip
            return text
        if self.key_kind == "constant":
            return self.key
        value = variable(self.key)(context)
        return context.client_ip if value is None else tostring(value)


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a plugin refuses, and what it does when it cannot count."""

    status: int
    message: str | None
    degrades: bool
    show_headers: bool

    def reply(self) -> Reply:
        return Reply(self.status, {"error_msg": self.message} if self.message else None)


class RateLimit:
    """The limits of one configuration. Rules are looked at in order; the first that is used up refuses."""

    def __init__(
        self,
        name: str,
        rules: Sequence[Rule],
        refusal: Refusal,
        *,
        prefix: str,
        suffix: str,
        sliding: bool,
        local: LocalCounters,
        redis: Client | None,
    ) -> None:
        self._name = name
        self._rules = [(rule, rule.needs) for rule in rules]
        self._needs = frozenset(needs for _, needs in self._rules if needs is not None)
        self._refusal = refusal
        self._sliding = sliding
        self._local = local
        self._redis = redis
        self._log = structlog.get_logger("gateway.limits")
        version = "" if redis is None or sliding else ":v1"
        self._plugin = f"plugin-{name}{version}:"
        self._prefix = self._plugin + prefix
        self._suffix = suffix

    async def take(self, context: Context, cost: int) -> Reply | None:
        """Count a cost; a reply when it does not fit any more."""
        return await self._decide(context, cost, 0)

    async def check(self, context: Context, probe: int) -> Reply | None:
        """Count nothing; a reply when that much would not fit."""
        return await self._decide(context, 0, probe)

    def charge(self, context: Context, cost: int) -> None:
        """Count what has been used already, on every rule that applies."""
        windows: list[Window] | None = context.notes.get(self)
        if windows is None:
            try:
                windows = [window for _, window in self.windows(context)]
            except UnusableRule:
                return
        if self._redis is None:
            for window in windows:
                self._local.take(window, cost)
        else:
            for some in self._together(self._redis, windows):
                self._redis.post(script("window_take"), *_call(some, cost, _NO_PROBE))

    async def _decide(self, context: Context, cost: int, probe: int) -> Reply | None:
        try:
            applying = self.windows(context)
        except UnusableRule as error:
            self._log.warning("limit cannot be read", plugin=self._name, reason=str(error))
            applying = []
        if not applying:
            return None if self._refusal.degrades else Reply(500)
        windows = context.notes[self] = [window for _, window in applying]
        try:
            standings = await self._standings(windows, cost, probe)
        except CountersGone as error:
            self._log.error("counters cannot be reached", plugin=self._name, reason=str(error))
            return None if self._refusal.degrades else Reply(500, {"error_msg": "failed to limit count"})
        for (rule, window), standing in zip(applying, standings, strict=False):
            self._report(context, rule, window, standing)
            if standing.rejected:
                return self._refusal.reply()
        return None

    def windows(self, context: Context) -> list[tuple[Rule, Window]]:
        """The rules that apply to a request, each with its counter."""
        found = []
        present = context.headers.possible(self._needs)
        for rule, needs in self._rules:
            # Of a hierarchy most rules do not apply to a request: here they cost next to nothing.
            if needs is not None and needs not in present:
                continue
            window = rule.window(context, self._prefix, self._suffix)
            if window is not None:
                found.append((rule, window))
        return found

    async def _standings(self, windows: Sequence[Window], cost: int, probe: int) -> list[Standing]:
        """Where each window stands, up to the first that refuses."""
        if self._redis is not None and self._sliding:
            return [await self._slide(self._redis, windows[0], cost)]
        if self._redis is not None:
            return await self._take(self._redis, windows, cost, probe)
        standings = []
        for window in windows:
            if self._sliding:
                standing = self._local.take_sliding(window, cost)
            else:
                standing = self._local.take(window, cost, probe=probe)
            standings.append(standing)
            if standing.rejected:
                break
        return standings

    async def _take(self, redis: Client, windows: Sequence[Window], cost: int, probe: int) -> list[Standing]:
        standings: list[Standing] = []
        for some in self._together(redis, windows):
            reply = await redis.run(script("window_take"), *_call(some, cost, probe))
            standings += [
                Standing(window.limit - used, left / 1000, used + probe > window.limit)
                for window, used, left in zip(some, reply[::2], reply[1::2], strict=False)
            ]
            if standings[-1].rejected:
                break
        return standings

    def _together(self, redis: Client, windows: Sequence[Window]) -> list[Sequence[Window]]:
        """The windows that one script can look at: all of them, but on a cluster each alone."""
        if redis.one_key_at_a_time:
            return [[window] for window in windows]
        return [windows] if windows else []

    async def _slide(self, redis: Client, window: Window, cost: int) -> Standing:
        now = self._local.now()
        number, left = math.floor(now / window.seconds), window.seconds - now % window.seconds
        keys = [f"{window.key}.{number}.counter", f"{window.key}.{number - 1}.counter"]
        arguments: list[Argument] = [cost, window.limit, window.seconds, left, window.seconds * 2]
        if redis.one_key_at_a_time:
            # The window before is over, so its count cannot change in between.
            arguments.append(await redis.command("GET", keys.pop()) or 0)
        accepted, used, before = await redis.run(script("window_slide"), keys, arguments)
        share = before / window.seconds * left
        if not accepted:
            return Standing(0, math.ceil(left * 100) / 100, rejected=True)
        return Standing(math.floor(window.limit - used - share), math.ceil(left * 100) / 100, rejected=False)

    def _report(self, context: Context, rule: Rule, window: Window, standing: Standing) -> None:
        remaining = 0 if standing.rejected else standing.remaining
        reset = math.floor(standing.reset_s * 100) / 100
        context.limiting = (window.key.removeprefix(self._plugin), window.limit, remaining, int(reset))
        if self._refusal.show_headers:
            rule.headers.write(context.response_headers, window.limit, remaining, reset)


def number_or_template(value: int | str) -> int | Template:
    """A limit as it was written: a number, or a text that becomes one for each request."""
    return template(value) if isinstance(value, str) else int(value)


def rules_of(rules: Sequence[Mapping[str, Any]], headers: HeaderNames) -> list[Rule]:
    """The rules of a configuration; each has headers of its own."""
    return [
        Rule(
            number_or_template(rule["count"]),
            number_or_template(rule["time_window"]),
            template(rule["key"]),
            "rule",
            headers.prefixed(str(rule.get("header_prefix") or index)),
        )
        for index, rule in enumerate(rules, 1)
    ]


def _call(windows: Sequence[Window], cost: int, probe: int) -> tuple[list[str], list[int]]:
    arguments = [cost, probe]
    for window in windows:
        arguments += (window.limit, window.seconds)
    return [window.key for window in windows], arguments


def _number(value: int | Template, context: Context) -> int:
    if isinstance(value, int):
        return value
    return _positive(value.text_for(context))


@lru_cache(maxsize=4096)
def _positive(text: str) -> int:
    number = tonumber(text)
    if number is None:
        raise UnusableRule("resolved value is not a number")
    if number <= 0 or number != int(number) or number > _MOST:
        raise UnusableRule(f"resolved value must be a positive integer, got: {tostring(number)}")
    return int(number)


def _sent_name(name: str) -> str:
    """A header's name as it is sent: an underscore counts as a dash."""
    return re.sub(r"[\r\n:]", " ", name.replace("_", "-"))
