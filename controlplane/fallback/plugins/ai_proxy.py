"""ai-proxy: one provider behind a route."""

from typing import ClassVar

from controlplane.fallback.llm.members import endpoint_problem, member, provider_problem
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
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Outcome, Plugin, Schema, Services


class AiProxy(Plugin):
    """Recognizes the protocol of a request and calls the provider in one that it speaks."""

    name = "ai-proxy"
    priority = 1040
    version = 0.5
    secrets = AUTH_SECRETS
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "provider": {"type": "string", "enum": PROVIDER_NAMES},
            "provider_conf": PROVIDER_CONF,
            "auth": AUTH,
            "options": OPTIONS,
            "override": OVERRIDE,
            **TRANSPORT,
        },
        "required": ["provider", "auth"],
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        return provider_problem(conf) or endpoint_problem(conf)

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._member = member(conf, f"ai-proxy-{conf['provider']}", verify=conf["ssl_verify"])
        self._transport = transport_of(conf)
        self._proxy = Proxy(services.pool, self._transport, services.google)

    def access(self, context: Context) -> Outcome:
        return self._recognize(context)

    def before_proxy(self, context: Context) -> Outcome:
        return self._proxy.run(context, context.call, None) if context.call is not None else None

    async def _recognize(self, context: Context) -> Reply | None:
        call = await recognize(context, self._transport.body_limit)
        if isinstance(call, Reply):
            return call
        call.target = self._member
        context.call = call
        return None
