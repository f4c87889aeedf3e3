"""ai-proxy-multi: a pool of providers behind a route, with weights, priorities and fallback."""

from collections.abc import Mapping
from typing import Any, ClassVar

import structlog

from controlplane.fallback.health.cooling import CoolDowns
from controlplane.fallback.health.rules import health_rules
from controlplane.fallback.llm.call import Call
from controlplane.fallback.llm.members import Member, endpoint_problem, member, provider_problem
from controlplane.fallback.llm.proxying import Proxy, recognize, transport_of
from controlplane.fallback.plugins.ai_options import (
    AUTH,
    AUTH_SECRETS,
    OPTIONS,
    OVERRIDE,
    PROVIDER_CONF,
    PROVIDER_NAMES,
    TRANSPORT,
)
from controlplane.fallback.plugins.ai_rate_limiting import AiRateLimiting
from controlplane.fallback.plugins.token_budget import TokenBudget
from controlplane.fallback.runtime.balancing import Priorities, Server, Turn, priorities
from controlplane.fallback.runtime.context import Context, Passed, Reply, Streamed
from controlplane.fallback.runtime.hash_keys import hash_key
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Outcome, Plugin, Schema, Services
from controlplane.fallback.schema.health_checks import ACTIVE_CHECK

_HASH_ON = ["vars", "header", "cookie", "consumer", "vars_combinations"]
_INSTANCE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "provider": {"type": "string", "enum": PROVIDER_NAMES},
        "priority": {"type": "integer", "default": 0},
        "weight": {"type": "integer", "minimum": 0},
        "auth": AUTH,
        "options": OPTIONS,
        "override": OVERRIDE,
        "provider_conf": PROVIDER_CONF,
        "checks": {"type": "object", "properties": {"active": ACTIVE_CHECK}, "required": ["active"]},
    },
    "required": ["name", "provider", "auth", "weight"],
}
_STRATEGIES = ["rate_limiting", "http_429", "http_5xx"]
_NOBODY: frozenset[str] = frozenset()
_ALL_TRIED = "all servers tried"


class AiProxyMulti(Plugin):
    """Picks a member for each call, and another one when the strategy says so."""

    name = "ai-proxy-multi"
    priority = 1041
    version = 0.5
    secrets = tuple(f"instances.{path}" for path in AUTH_SECRETS)
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "balancer": {
                "type": "object",
                "properties": {
                    "algorithm": {"type": "string", "enum": ["chash", "roundrobin", "semantic"]},
                    "hash_on": {"type": "string", "enum": _HASH_ON, "default": "vars"},
                    "key": {"type": "string"},
                },
                "default": {"algorithm": "roundrobin"},
            },
            "instances": {"type": "array", "minItems": 1, "items": _INSTANCE},
            "fallback_strategy": {
                "anyOf": [
                    {
                        "type": "string",
                        "enum": ["instance_health_and_rate_limiting", "http_429", "http_5xx"],
                    },
                    {"type": "array", "items": {"type": "string", "enum": _STRATEGIES}},
                ]
            },
            "max_retries": {"type": "integer", "minimum": 0},
            "retry_on_failure_within_ms": {"type": "integer", "minimum": 1},
            "cool_down": {
                "type": "object",
                "properties": {
                    "failures": {"type": "integer", "minimum": 1, "default": 3},
                    "seconds": {"type": "number", "exclusiveMinimum": 0, "default": 30},
                },
            },
            **TRANSPORT,
        },
        "required": ["instances"],
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        for instance in conf["instances"]:
            problem = endpoint_problem(instance) or provider_problem(instance)
            if problem is not None:
                return problem if "endpoint" in problem else f"instance '{instance['name']}': {problem}"
        return _balancer_problem(conf["balancer"])

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        verify = conf["ssl_verify"]
        self._members: Mapping[str, Member] = {
            one["name"]: member(one, one["name"], verify=verify) for one in reversed(conf["instances"])
        }
        self._only = next(iter(self._members.values())) if len(conf["instances"]) == 1 else None
        self._count = len(conf["instances"])
        self._transport = transport_of(conf)
        self._proxy = Proxy(services.pool, self._transport, services.google)
        strategy = conf.get("fallback_strategy") or ()
        self._strategies = frozenset([strategy] if isinstance(strategy, str) else strategy)
        self._asks_limits = bool(self._strategies & {"rate_limiting", "instance_health_and_rate_limiting"})
        self._health_rules = {
            one["name"]: health_rules(one["checks"]) for one in conf["instances"] if "checks" in one
        }
        self._cools: Conf = conf.get("cool_down") or {}
        self._log = structlog.get_logger("gateway.balancer")

    def access(self, context: Context) -> Outcome:
        return self._choose(context)

    def before_proxy(self, context: Context) -> Outcome:
        return self._run(context, context.call) if context.call is not None else None

    async def _run(self, context: Context, call: Call) -> Reply:
        reply = await self._proxy.run(context, call, self._after_failure)
        if self._cools and call.member is not None and isinstance(reply, Passed | Streamed):
            self._cool_downs().succeeded(call.member)
        return reply

    async def _choose(self, context: Context) -> Reply | None:
        call = await recognize(context, self._transport.body_limit)
        if isinstance(call, Reply):
            return call
        if self._only is not None:
            call.target = self._only
            context.call = call
            return None
        call.turn = Turn(self._hash_key(context))
        chosen = await self._pick(context, call, call.turn)
        if isinstance(chosen, Reply):
            return chosen
        if isinstance(chosen, str):
            return Reply(503, chosen)
        call.target = chosen
        context.call = call
        return None

    async def _pick(self, context: Context, call: Call, turn: Turn) -> Member | str | Reply:
        """The next member that has something left, or why there is none."""
        if turn.among is None:
            turn.among = self._balancer()
        balancer = turn.among
        plugins = context.plan.plugins if context.plan is not None else {}
        limits, budget = plugins.get(AiRateLimiting.name), plugins.get(TokenBudget.name)
        asked = limits if self._asks_limits and isinstance(limits, AiRateLimiting) else None
        refused: Reply | None = None
        for _ in range(self._count):
            name = balancer.next(turn)
            if name is None:
                return refused or (_ALL_TRIED if not balancer.has_one_level else "all upstream servers tried")
            if asked is None or await asked.allows(context, name):
                if not isinstance(budget, TokenBudget):
                    return self._members[name]
                refused = await budget.admit(context, call, self._members[name])
                if refused is None:
                    return self._members[name]
                if not budget.has_others(context):
                    return refused
            turn.tried.add(name)
        return refused or _ALL_TRIED

    async def _after_failure(self, context: Context, call: Call, reply: Reply) -> Reply | None:
        """Choose another member, or give the failure to the client."""
        if call.turn is None or call.member is None:
            return reply
        call.turn.tried.add(call.member)
        if self._cools and (reply.status == 429 or reply.status >= 500):
            self._cool_downs().failed(
                call.member,
                most=self._cools["failures"],
                seconds=self._cools["seconds"],
                retry_after_s=call.retry_after_s,
            )
        if not self._falls_back_on(reply.status):
            return reply
        within = self.conf.get("retry_on_failure_within_ms")
        elapsed_ms = (context.clock.monotonic() - call.attempt_started) * 1000
        if within is not None and elapsed_ms > within:
            return reply
        most = self.conf.get("max_retries")
        call.retries += 1
        if most is not None and call.retries > most:
            return reply
        chosen = await self._pick(context, call, call.turn)
        if isinstance(chosen, str | Reply):
            return Reply(502, reply.body) if isinstance(chosen, str) else chosen
        self._log.info("falling back", failed=call.member, status=reply.status, next=chosen.name)
        call.target = chosen
        return None

    def _falls_back_on(self, status: int) -> bool:
        if status == 429:
            return "http_429" in self._strategies
        return 500 <= status < 600 and "http_5xx" in self._strategies

    # Who can be asked.

    def _balancer(self) -> Priorities:
        """Whose turn it is is remembered for as long as the same members can be asked."""
        unhealthy, cooling = self._unhealthy(), self._cool_downs().cooling() if self._cools else _NOBODY
        key = (self.name, self.owner.resource_key, self.conf_version, unhealthy, cooling)
        return self.services.memory.get(key, lambda: self._make_balancer(unhealthy, cooling))

    def _make_balancer(self, unhealthy: frozenset[str], cooling: frozenset[str]) -> Priorities:
        instances = self.conf["instances"]
        healthy = [one for one in instances if one["name"] not in unhealthy]
        return priorities(
            [
                Server(one["name"], one["weight"], one["priority"], one["name"] in cooling)
                for one in healthy or instances
            ],
            hashed=self.conf["balancer"]["algorithm"] == "chash",
            chance=self.services.random,
        )

    def _unhealthy(self) -> frozenset[str]:
        if not self._health_rules:
            return _NOBODY
        health, owner = self.services.health, self.owner
        return frozenset(
            name
            for name, rules in self._health_rules.items()
            if not health.of(
                (self.name, owner, name),
                f"{owner.resource_key}#{name}",
                self._members[name].origin,
                rules,
                lambda: self.services.is_current(owner),
            ).healthy
        )

    def _cool_downs(self) -> CoolDowns:
        key = (self.name, self.owner.resource_key, "cooling")
        return self.services.memory.get(key, lambda: CoolDowns(self.services.clock.monotonic))

    def _hash_key(self, context: Context) -> str:
        balancer = self.conf["balancer"]
        if balancer["algorithm"] != "chash":
            return ""
        return hash_key(balancer["hash_on"], balancer.get("key", ""), context)


def _balancer_problem(balancer: Mapping[str, Any]) -> str | None:
    if balancer.get("algorithm") == "semantic":
        return "balancer algorithm semantic is not supported by this gateway"
    if balancer.get("algorithm") != "chash":
        return None
    if balancer["hash_on"] != "consumer" and not balancer.get("key"):
        return "must configure `hash_key` when balancer `hash_on` is not set to cookie"
    return None
