"""limit-req: so many requests a second, the rest wait or are refused."""

import asyncio
import math
from typing import ClassVar

import structlog

from controlplane.fallback.counters.scripts import script
from controlplane.fallback.counters.windows import CountersGone
from controlplane.fallback.lua_values import tostring
from controlplane.fallback.plugins.redis_options import by_policy, client_of
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Outcome, Plugin, Schema, Services
from controlplane.fallback.runtime.templates import template
from controlplane.fallback.runtime.variables import variable


class LimitReq(Plugin):
    """A leaky bucket: `burst` requests may wait, and with `nodelay` they pass at once."""

    name = "limit-req"
    priority = 1001
    secrets = ("redis_password",)
    schema: ClassVar[Schema] = by_policy(
        {
            "type": "object",
            "properties": {
                "rate": {"type": "number", "exclusiveMinimum": 0},
                "burst": {"type": "number", "minimum": 0},
                "key": {"type": "string"},
                "key_type": {"type": "string", "enum": ["var", "var_combination"], "default": "var"},
                "policy": {"type": "string", "enum": ["redis", "redis-cluster", "local"], "default": "local"},
                "rejected_code": {"type": "integer", "minimum": 200, "maximum": 599, "default": 503},
                "rejected_msg": {"type": "string", "minLength": 1},
                "nodelay": {"type": "boolean", "default": False},
                "allow_degradation": {"type": "boolean", "default": False},
            },
            "required": ["rate", "burst", "key"],
        },
        sentinel=False,
    )

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._redis = client_of(conf, services.redis)
        self._prefix = f"{owner.resource_key}:{self.conf_version}:"
        self._log = structlog.get_logger("gateway.limits")

    def access(self, context: Context) -> Outcome:
        return self._take(context)

    async def _take(self, context: Context) -> Reply | None:
        try:
            delay = await self._delay(self._prefix + self._key(context))
        except CountersGone as error:
            self._log.error("counters cannot be reached", plugin=self.name, reason=str(error))
            return None if self.conf["allow_degradation"] else Reply(500)
        if delay is None:
            message = self.conf.get("rejected_msg")
            return Reply(self.conf["rejected_code"], {"error_msg": message} if message else None)
        if delay >= 0.001 and not self.conf["nodelay"]:
            await asyncio.sleep(delay)
        return None

    async def _delay(self, key: str) -> float | None:
        """How long the request must wait, or None when the bucket is full."""
        rate, burst = self.conf["rate"], self.conf["burst"]
        if self._redis is None:
            return self.services.counters.leak(f"plugin-limit-req:{key}", rate, burst)
        arguments = (rate * 1000, burst * 1000, self.services.clock.now() * 1000, math.ceil(burst / rate) + 1)
        allowed, excess = await self._redis.run(script("bucket_leak"), (f"limit_req:{key}",), arguments)
        return float(excess) / (rate * 1000) if allowed else None

    def _key(self, context: Context) -> str:
        if self.conf["key_type"] == "var_combination":
            text, resolved = template(self.conf["key"]).resolve(context)
            return text if resolved else context.client_ip
        value = variable(self.conf["key"])(context)
        return context.client_ip if value is None else tostring(value)
