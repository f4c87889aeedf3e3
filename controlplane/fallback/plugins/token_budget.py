"""token-budget: every limit of a call in one reservation, before the call; settled to the truth after it.

Sluice's own plugin: docs/token-budget.md says what it promises.
"""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import structlog

from controlplane.fallback.budgets.answers import (
    clear_refusal,
    header_names,
    refused,
    show_degraded,
    show_standing,
    unbounded,
)
from controlplane.fallback.budgets.configuration import (
    SCHEMA,
    Budget,
    NoAmount,
    budgets_of,
    configuration_problem,
)
from controlplane.fallback.budgets.held import LEASE_S, Held, Holder
from controlplane.fallback.budgets.sizes import Counted, NoUpperBound, Sizes, sizes_of
from controlplane.fallback.llm.call import Call
from controlplane.fallback.llm.members import Member
from controlplane.fallback.plugins.redis_options import SECRETS, address_of
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Outcome, Plugin, Schema, Services
from controlplane.limiter.results import Rejected

_ONE_EACH = ("requests", "concurrency")
_FALLS_BACK = "falls back"


class TokenBudget(Plugin):
    """Budgets of a queue, its members and every level above them, taken all at once or not at all."""

    name = "token-budget"
    priority = 1031
    secrets = SECRETS
    schema: ClassVar[Schema] = SCHEMA

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        if conf["policy"] == "redis-sentinel" and conf.get("redis_role") == "slave":
            return "redis_role slave takes no writes: nothing can be counted there"
        return configuration_problem(conf)

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._budgets = budgets_of(conf)
        self._titles = {budget.limit.name: budget.title for budget in self._budgets}
        self._falls_back = {budget.limit.name: budget.falls_back for budget in self._budgets}
        self._headers = {
            budget.limit.name: header_names(number) for number, budget in enumerate(self._budgets, 1)
        }
        self._made: dict[tuple[str, ...], Budget] = {}
        self._by_member: dict[str | None, Counted] = {}
        self._limiter = services.limiters.of(address_of(conf))
        self._holder = Holder(self._limiter, services.spawn)
        self._estimator = services.limiters.estimator
        self._cap: int | None = conf.get("output_cap")
        self._shows = conf["show_limit_headers"]
        self._models: set[str] = set()
        self._log = structlog.get_logger("gateway.limits")

    def access(self, context: Context) -> Outcome:
        if self in context.notes:
            return None  # the balancer has asked already, for the member that it chose
        return self._enter(context)

    def log(self, context: Context) -> None:
        held: Held | None = context.notes.pop(self, None)
        if held is None:
            return
        call = context.call
        usage = call.usage if call is not None else None
        if usage is not None or _may_have_cost(context):
            held.settle(usage, self._estimator)
        else:
            held.cancel()

    async def admit(self, context: Context, call: Call, member: Member) -> Reply | None:
        """Take the budgets of a call to a member, after those of the member before it are given back.

        None when it may go on. Otherwise the reply for the client, unless another member has more left.
        """
        before: Held | None = context.notes.pop(self, None)
        if before is not None:
            before.cancel()
        model = member.options.get("model")
        if model is not None and model not in self._models:
            self._models.add(model)
            self.services.spawn(self._load_encoding(model))
        counted = self._by_member.get(member.name) or self._count(member.name)
        try:
            charged = self._applying(context, counted)
            if not charged:
                return None
            sizes = sizes_of(self._estimator, context, call, member, counted)
        except NoUpperBound as error:
            return unbounded(str(error))
        except NoAmount as error:
            self._log.error("limit cannot be read", object=self.owner.resource_key, reason=str(error))
            return Reply(500)
        call.cap = sizes.cap
        return await self._take(context, charged, sizes)

    def has_others(self, context: Context) -> bool:
        """Whether another member may have what the last one had not: no limit of all of them has refused."""
        falls_back: bool = context.notes.get((self, _FALLS_BACK), False)
        return falls_back

    async def _enter(self, context: Context) -> Reply | None:
        call = context.call
        if call is not None and call.target is not None:
            return await self.admit(context, call, call.target)
        # No model's call: what can be counted of it are the call itself and its slot.
        charged = self._applying(context, self._by_member.get(None) or self._count(None))
        return await self._take(context, charged, None) if charged else None

    def _applying(self, context: Context, counted: Counted) -> list[tuple[Budget, str]]:
        """The limits that count the call, as they are for it, with the keys of their counters."""
        found = []
        for budget in counted.budgets:
            key = budget.key(context)
            if key is not None:
                known = budget if budget.reads is None else budget.for_call(context, self._made)
                found.append((known, key))
        return found

    async def _take(
        self, context: Context, charged: Sequence[tuple[Budget, str]], sizes: Sizes | None
    ) -> Reply | None:
        charges = [
            (budget.limit, key, sizes.amount(budget) if sizes is not None else 1) for budget, key in charged
        ]
        taken = await self._limiter.reserve(charges, lease=LEASE_S, report=self._shows)
        headers = context.response_headers
        if isinstance(taken, Rejected):
            refusals = taken.refusals
            context.notes[(self, _FALLS_BACK)] = bool(refusals) and all(
                self._falls_back[refusal.limit.name] for refusal in refusals
            )
            code, message = self.conf["rejected_code"], self.conf.get("rejected_msg")
            return refused(taken, self._titles, headers, code=code, message=message)
        context.notes[self] = self._holder.hold(taken, sizes)
        if (self, _FALLS_BACK) in context.notes:
            clear_refusal(headers)
        if self._shows:
            show_standing(headers, taken.usage, self._headers)
        show_degraded(headers, taken.degraded)
        return None

    def _count(self, member: str | None) -> Counted:
        """What counts the calls to a member, or those that are no model's."""
        budgets = tuple(one for one in self._budgets if not one.members or member in one.members)
        if member is None:
            budgets = tuple(one for one in budgets if one.limit.meter in _ONE_EACH)
        strict = any(one.strict for one in budgets)
        counted = self._by_member[member] = Counted(budgets, strict, self.owner.resource_key, self._cap)
        return counted

    async def _load_encoding(self, model: str) -> None:
        await asyncio.to_thread(self.services.limiters.encodings.load, [model])


def _may_have_cost(context: Context) -> bool:
    """Whether a provider may have worked for a call that reports no usage: then it counts as reserved."""
    if context.from_upstream:
        return context.status < 400
    asked = context.call is not None and context.call.attempt_started > 0
    return context.status == 0 and asked  # the client left while the provider was at work
