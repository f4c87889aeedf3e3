"""limit-count: so many requests in a window."""

from typing import Any, ClassVar

from controlplane.fallback.counters.rate_limit import (
    HeaderNames,
    RateLimit,
    Refusal,
    Rule,
    number_or_template,
    rules_of,
)
from controlplane.fallback.plugins.redis_options import SECRETS, by_policy, client_of
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Outcome, Plugin, Schema, Services
from controlplane.fallback.runtime.templates import template

POSITIVE = {"oneOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string"}]}
RULES: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "count": POSITIVE,
            "time_window": POSITIVE,
            "key": {"type": "string"},
            "header_prefix": {"type": "string"},
        },
        "required": ["count", "time_window", "key"],
    },
}
POLICY = {
    "type": "string",
    "enum": ["local", "redis", "redis-cluster", "redis-sentinel"],
    "default": "local",
}
REJECTION: dict[str, Any] = {
    "rejected_code": {"type": "integer", "minimum": 200, "maximum": 599, "default": 503},
    "rejected_msg": {"type": "string", "minLength": 1},
    "allow_degradation": {"type": "boolean", "default": False},
    "show_limit_quota_header": {"type": "boolean", "default": True},
}
_ONLY_ONE = "value should match only one schema"
_NOT_BOTH = "count/time_window and rules cannot be specified at the same time"
_HEADERS = {
    "limit_header": "X-RateLimit-Limit",
    "remaining_header": "X-RateLimit-Remaining",
    "reset_header": "X-RateLimit-Reset",
}


class LimitCount(Plugin):
    """One counter by a variable, or several rules; a group shares its counters over routes."""

    name = "limit-count"
    priority = 1002
    version = 0.5
    secrets = SECRETS
    schema: ClassVar[Schema] = by_policy(
        {
            "type": "object",
            "properties": {
                "count": POSITIVE,
                "time_window": POSITIVE,
                "window_type": {"type": "string", "enum": ["fixed", "sliding"], "default": "fixed"},
                "rules": RULES,
                "group": {"type": "string"},
                "key": {"type": "string", "default": "remote_addr"},
                "key_type": {
                    "type": "string",
                    "enum": ["var", "var_combination", "constant"],
                    "default": "var",
                },
                **REJECTION,
                "policy": POLICY,
                "sync_interval": {"type": "number", "default": -1},
            },
            "oneOf": [{"required": ["count", "time_window"]}, {"required": ["rules"]}],
        }
    )
    metadata_schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {name: {"type": "string", "default": text} for name, text in _HEADERS.items()},
    }

    @classmethod
    def in_other_words(cls, conf: Conf, problem: str) -> str:
        if "rules" in conf and ("count" in conf or "time_window" in conf) and problem.startswith(_ONLY_ONE):
            return _NOT_BOTH
        return problem

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        if conf.get("rules") is not None and ("count" in conf or "time_window" in conf):
            return _NOT_BOTH
        if "group" in conf and "rules" in conf:
            return "group and rules cannot be specified at the same time"
        keys: set[str] = set()
        for rule in conf.get("rules") or ():
            if rule["key"] in keys:
                return f"duplicate key '{rule['key']}' in rules"
            keys.add(rule["key"])
        if "group" in conf:
            known = services.memory.get(("limit-count group", conf["group"]), lambda: _of_group(conf))
            if known != _of_group(conf):
                return "group conf mismatched"
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        metadata = {**_HEADERS, **(services.metadata(self.name) or {})}
        headers = HeaderNames(*(metadata[name] for name in _HEADERS))
        rules = rules_of(conf["rules"], headers) if conf.get("rules") else [_rule(conf, headers)]
        group = conf.get("group")
        self._limit = RateLimit(
            self.name,
            rules,
            Refusal(
                conf["rejected_code"],
                conf.get("rejected_msg"),
                conf["allow_degradation"],
                conf["show_limit_quota_header"],
            ),
            prefix=f"{group}:" if group else f"{owner.resource_key}:{self.conf_version}:",
            suffix="",
            sliding=conf["window_type"] == "sliding",
            local=services.counters,
            redis=client_of(conf, services.redis),
        )

    def access(self, context: Context) -> Outcome:
        return self._take(context)

    async def _take(self, context: Context) -> Reply | None:
        return await self._limit.take(context, 1)


def _rule(conf: Conf, headers: HeaderNames) -> Rule:
    kind = conf["key_type"]
    key = template(conf["key"]) if kind == "var_combination" else conf["key"]
    return Rule(
        number_or_template(conf["count"]), number_or_template(conf["time_window"]), key, kind, headers
    )


def _of_group(conf: Conf) -> Conf:
    return {name: value for name, value in conf.items() if name != "_meta"}
