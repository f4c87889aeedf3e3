"""ai-rate-limiting: so many tokens in a window, checked before a call and charged after it."""

from typing import Any, ClassVar

import structlog

from controlplane.fallback.counters.rate_limit import (
    HeaderNames,
    RateLimit,
    Refusal,
    Rule,
    number_or_template,
    rules_of,
)
from controlplane.fallback.plugins.cost_expression import CostExpression, InvalidCost
from controlplane.fallback.plugins.limit_count import POLICY, POSITIVE, REJECTION, RULES
from controlplane.fallback.plugins.redis_options import REDIS, SECRETS, by_policy, client_of
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Outcome, Plugin, Schema, Services, conf_version

_ATLEAST_ONE = {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]}
_HEADERS = ("X-AI-RateLimit-Limit", "X-AI-RateLimit-Remaining", "X-AI-RateLimit-Reset")
_EVERYBODY = "ai-rate-limiting#global"
_CHECKED = "ai-rate-limiting checked"


class AiRateLimiting(Plugin):
    """Budgets of members (`instances`), one budget for each member (`limit`), or `rules` over all of them."""

    name = "ai-rate-limiting"
    priority = 1030
    secrets = SECRETS
    schema: ClassVar[Schema] = by_policy(
        {
            "type": "object",
            "properties": {
                "limit": POSITIVE,
                "time_window": POSITIVE,
                **REJECTION,
                "limit_strategy": {
                    "type": "string",
                    "enum": ["total_tokens", "prompt_tokens", "completion_tokens", "expression"],
                    "default": "total_tokens",
                },
                "cost_expr": {"type": "string", "minLength": 1},
                "instances": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "limit": _ATLEAST_ONE,
                            "time_window": _ATLEAST_ONE,
                        },
                        "required": ["name", "limit", "time_window"],
                    },
                },
                "policy": POLICY,
                "rules": RULES,
            },
            "dependencies": {"limit": ["time_window"], "time_window": ["limit"]},
            "oneOf": [
                {"anyOf": [{"required": ["limit", "time_window"]}, {"required": ["instances"]}]},
                {"required": ["rules"]},
            ],
        }
    )

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        if conf["limit_strategy"] == "expression":
            if not conf.get("cost_expr"):
                return "cost_expr is required when limit_strategy is 'expression'"
            try:
                CostExpression(conf["cost_expr"])
            except InvalidCost as error:
                return f"invalid cost_expr: {error}"
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._expression = (
            CostExpression(conf["cost_expr"]) if conf["limit_strategy"] == "expression" else None
        )
        self._of_member: dict[str, RateLimit | None] = {}
        self._rules = self._for_rules() if conf.get("rules") else None
        self._log = structlog.get_logger("gateway.limits")

    def access(self, context: Context) -> Outcome:
        if context.call is None or context.call.member is None:
            return None
        if context.notes.get((self, _CHECKED)) == context.call.member:
            # The balancer has just asked the same about the member that it chose.
            return None
        limit = self.limit_of(context.call.member)
        return self._check(context, limit) if limit is not None else None

    async def allows(self, context: Context, member: str) -> bool:
        """Whether a member has anything left; asked by the balancer when it falls back on rate limiting."""
        limit = self.limit_of(member) if self._rules is None else None
        if limit is not None and await limit.check(context, 1) is not None:
            return False
        if self._rules is None:
            context.notes[(self, _CHECKED)] = member
        return True

    def log(self, context: Context) -> None:
        call = context.call
        if call is None or call.member is None or call.limited or call.usage is None:
            return
        cost = self._cost(context)
        if cost <= 0:
            return
        limit = self.limit_of(call.member)
        if limit is not None:
            limit.charge(context, cost)

    async def _check(self, context: Context, limit: RateLimit) -> Reply | None:
        reply = await limit.check(context, 1)
        if context.call is not None:
            context.call.limited = reply is not None
        return reply

    def _cost(self, context: Context) -> int:
        usage = context.call.usage if context.call is not None else None
        if usage is None:
            return 0
        if self._expression is None:
            cost: int = getattr(usage, self.conf["limit_strategy"])
            return cost
        try:
            return self._expression.cost(usage.raw)
        except InvalidCost as error:
            self._log.error("cost cannot be computed", object=self.owner.resource_key, reason=str(error))
            return 0

    # Limits.

    def limit_of(self, member: str) -> RateLimit | None:
        """What limits the calls to a member."""
        if self._rules is not None:
            return self._rules
        if member not in self._of_member:
            self._of_member[member] = self._for_member(member)
        return self._of_member[member]

    def _for_rules(self) -> RateLimit:
        shape = {**self._shape(_HEADERS), "rules": self.conf["rules"]}
        return self._build(rules_of(self.conf["rules"], HeaderNames(*_HEADERS)), conf_version(shape), "")

    def _for_member(self, member: str) -> RateLimit | None:
        own = next((one for one in self.conf.get("instances", ()) if one["name"] == member), None)
        if own is None and "limit" not in self.conf:
            return None
        source = own or self.conf
        key = member if own is not None else _EVERYBODY
        headers = (
            f"{_HEADERS[0]}-{member}",
            f"{_HEADERS[1]}-{member}",
            f"{_HEADERS[2]}-{member}",
        )
        shape = {
            **self._shape(headers),
            "_vid": key,
            "key": key,
            "count": source["limit"],
            "time_window": source["time_window"],
        }
        rule = Rule(
            number_or_template(source["limit"]),
            number_or_template(source["time_window"]),
            key,
            "constant",
            HeaderNames(*headers),
        )
        return self._build([rule], conf_version(shape), f":{key}")

    def _shape(self, headers: tuple[str, str, str]) -> Conf:
        """The configuration that APISIX hands to its limiter: its checksum names the counter."""
        conf = self.conf
        shape: dict[str, Any] = {
            "_meta": conf.get("_meta", {}),
            "rejected_code": conf["rejected_code"],
            "show_limit_quota_header": conf["show_limit_quota_header"],
            "policy": conf["policy"],
            "key_type": "constant",
            "allow_degradation": conf["allow_degradation"],
            "sync_interval": -1,
            "limit_header": headers[0],
            "remaining_header": headers[1],
            "reset_header": headers[2],
        }
        optional = ["rejected_msg", *(REDIS["properties"] if conf["policy"] == "redis" else ())]
        shape.update({name: conf[name] for name in optional if name in conf})
        return shape

    def _build(self, rules: list[Rule], version: str, suffix: str) -> RateLimit:
        conf, services = self.conf, self.services
        refusal = Refusal(
            conf["rejected_code"],
            conf.get("rejected_msg"),
            conf["allow_degradation"],
            conf["show_limit_quota_header"],
        )
        return RateLimit(
            self.name,
            rules,
            refusal,
            prefix=f"{self.owner.resource_key}:{version}:",
            suffix=suffix,
            sliding=False,
            local=services.counters,
            redis=client_of(conf, services.redis),
        )
