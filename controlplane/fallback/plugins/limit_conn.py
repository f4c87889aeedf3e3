"""limit-conn: so many calls at the same time, each held until its answer is complete, a stream's too."""

import asyncio
import itertools
import math
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import structlog

from controlplane.fallback.counters.scripts import script
from controlplane.fallback.counters.windows import CountersGone
from controlplane.fallback.lua_values import tonumber, tostring
from controlplane.fallback.plugins.redis_options import by_policy, client_of
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Outcome, Plugin, Schema, Services
from controlplane.fallback.runtime.templates import template
from controlplane.fallback.runtime.variables import variable

_CONN = {"oneOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string"}]}
_BURST = {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}
_MOST = 2**53 - 1


class _Rule(NamedTuple):
    conn: int
    burst: int
    key: str


class LimitConn(Plugin):
    """Calls over `conn` wait, calls over `conn` and `burst` are refused."""

    name = "limit-conn"
    priority = 1003
    secrets = ("redis_password",)
    schema: ClassVar[Schema] = by_policy(
        {
            "type": "object",
            "properties": {
                "conn": _CONN,
                "burst": _BURST,
                "default_conn_delay": {"type": "number", "exclusiveMinimum": 0},
                "only_use_default_delay": {"type": "boolean", "default": False},
                "key": {"type": "string"},
                "key_type": {"type": "string", "enum": ["var", "var_combination"], "default": "var"},
                "policy": {"type": "string", "enum": ["redis", "redis-cluster", "local"], "default": "local"},
                "rejected_code": {"type": "integer", "minimum": 200, "maximum": 599, "default": 503},
                "rejected_msg": {"type": "string", "minLength": 1},
                "allow_degradation": {"type": "boolean", "default": False},
                "rules": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"conn": _CONN, "burst": _BURST, "key": {"type": "string"}},
                        "required": ["conn", "burst", "key"],
                    },
                },
            },
            "oneOf": [
                {"required": ["conn", "burst", "default_conn_delay", "key"]},
                {"required": ["default_conn_delay", "rules"]},
            ],
        },
        sentinel=False,
        extra={"key_ttl": {"type": "integer", "default": 3600}},
    )

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._redis = client_of(conf, services.redis)
        self._prefix = f"{owner.resource_key}:{self.conf_version}:"
        self._holder = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._log = structlog.get_logger("gateway.limits")

    def access(self, context: Context) -> Outcome:
        rules = self._rules(context)
        if not rules:
            return None if self.conf["allow_degradation"] else Reply(500)
        return self._enter_all(context, rules)

    def log(self, context: Context) -> None:
        for key, holder in context.notes.pop(self, ()):
            if self._redis is not None:
                self._redis.owe("ZREM", key, holder)
            else:
                self.services.counters.leave(key)

    async def _enter_all(self, context: Context, rules: list[_Rule]) -> Reply | None:
        held: list[tuple[str, str]] = context.notes.setdefault(self, [])
        for rule in rules:
            try:
                count = await self._enter(rule, held)
            except CountersGone as error:
                self._log.error("counters cannot be reached", plugin=self.name, reason=str(error))
                if self.conf["allow_degradation"]:
                    continue
                return Reply(500)
            if count is None:
                message = self.conf.get("rejected_msg")
                return Reply(self.conf["rejected_code"], {"error_msg": message} if message else None)
            if count > rule.conn:
                await asyncio.sleep(self.conf["default_conn_delay"] * math.floor((count - 1) / rule.conn))
        return None

    async def _enter(self, rule: _Rule, held: list[tuple[str, str]]) -> int | None:
        """Take a place: how many are taken now, or None when there is none left."""
        most = rule.conn + rule.burst
        if self._redis is None:
            key = self._prefix + rule.key
            count = self.services.counters.enter(key, most)
            if count is not None:
                held.append((key, ""))
            return count
        key = f"limit_conn:{self._prefix}{rule.key}"
        holder = f"{self._holder}-{next(self._numbers)}"
        arguments = (most, self.conf["key_ttl"], int(self.services.clock.now()), holder)
        # Held before the reply is here: a place that was taken while nobody heard of it is given back too.
        held.append((key, holder))
        allowed, count = await self._redis.run(script("connection_enter"), (key,), arguments)
        return int(count) if allowed else None

    def _rules(self, context: Context) -> list[_Rule]:
        """The rules that apply to a request, with their numbers."""
        if "rules" not in self.conf:
            rule = _rule(self.conf, _key(self.conf, context), context)
            return [rule] if rule is not None else []
        found = []
        for conf in self.conf["rules"]:
            key, resolved = template(conf["key"]).resolve(context)
            rule = _rule(conf, key, context) if resolved else None
            if rule is not None:
                found.append(rule)
        return found


def _key(conf: Mapping[str, Any], context: Context) -> str:
    if conf["key_type"] == "var_combination":
        text, resolved = template(conf["key"]).resolve(context)
        return text if resolved else context.client_ip
    value = variable(conf["key"])(context)
    return context.client_ip if value is None else tostring(value)


def _rule(conf: Mapping[str, Any], key: str, context: Context) -> _Rule | None:
    conn, burst = _number(conf["conn"], context), _number(conf["burst"], context)
    return _Rule(conn, burst, key) if conn and burst is not None else None


def _number(value: int | str, context: Context) -> int | None:
    if isinstance(value, int):
        return value if 0 <= value <= _MOST else None
    return _whole(template(value).text_for(context))


@lru_cache(maxsize=4096)
def _whole(text: str) -> int | None:
    number = tonumber(text)
    if number is None or number != int(number) or not 0 <= number <= _MOST:
        return None
    return int(number)
