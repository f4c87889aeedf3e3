"""A plan to results: writes in order, a few at once; a failed object holds up only what needs it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from controlplane.core.objects import ObjectKey, resolve
from controlplane.core.plan import Action, Plan, Step
from controlplane.core.secrets import MASK
from controlplane.errors import GatewayRefused, GatewayUnavailable, SluiceError
from controlplane.gateway.driver import IN_FLIGHT, Gateway

_GIVE_UP_AFTER = IN_FLIGHT
"""So many writes in a row that could not be delivered mean that the gateway is gone, not one object ill."""

_SHORTEST_MASKED = 6


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a step."""

    step: Step
    error: str | None = None
    sent: bool = True
    """Whether the gateway was asked at all."""
    unreachable: bool = False

    @property
    def ok(self) -> bool:
        return self.error is None


async def apply(plan: Plan, gateway: Gateway, secrets: Mapping[str, str]) -> AsyncIterator[list[Result]]:
    """Carry out a plan, and yield the results rank by rank, so that they can be kept as they come.

    `secrets` has the text of every secret that the plan's objects name.
    """
    applier = _Applier(gateway, secrets, await _broken(plan, gateway))
    for _, rank in groupby(plan.steps, key=lambda step: (step.action is Action.DELETE, step.key.kind)):
        yield await applier.run(list(rank))


async def _broken(plan: Plan, gateway: Gateway) -> Mapping[ObjectKey, str]:
    """Objects that the gateway's own schema would refuse: they are not sent."""
    try:
        return await gateway.check(step.wanted for step in plan.steps if step.wanted)
    except GatewayUnavailable:
        return {}  # the writes will say the same, object by object


class _Applier:
    def __init__(self, gateway: Gateway, secrets: Mapping[str, str], broken: Mapping[ObjectKey, str]) -> None:
        self._gateway = gateway
        self._secrets = secrets
        self._broken = broken
        self._failed: set[ObjectKey] = set()
        self._lost_in_a_row = 0
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, steps: Iterable[Step]) -> list[Result]:
        results = await asyncio.gather(*(self._one(step) for step in steps))
        self._failed.update(result.step.key for result in results if not result.ok)
        return results

    async def _one(self, step: Step) -> Result:
        async with self._gate:
            if reason := self._held_up(step):
                return Result(step, reason, sent=False, unreachable=self._gone)
            try:
                await self._send(step)
            except GatewayUnavailable as error:
                self._lost_in_a_row += 1
                return Result(step, self._masked(str(error)), unreachable=True)
            except GatewayRefused as error:
                self._lost_in_a_row = 0
                return Result(step, self._masked(str(error)))
            except SluiceError as error:
                return Result(step, self._masked(str(error)), sent=False)
            self._lost_in_a_row = 0
            return Result(step)

    @property
    def _gone(self) -> bool:
        return self._lost_in_a_row >= _GIVE_UP_AFTER

    def _held_up(self, step: Step) -> str | None:
        if self._gone:
            return "not tried: the gateway cannot be reached"
        if broken := self._broken.get(step.key):
            return broken
        if step.wanted is None:
            return None
        unread = [secret.name for secret in step.wanted.secrets() if secret.name not in self._secrets]
        if unread:
            return f"its secret {unread[0]} cannot be opened; write it again, or set the right master key"
        needs = step.wanted.references if self._failed else ()
        missing = [reference for reference in needs if reference in self._failed]
        return f"waits for {missing[0]}, which failed" if missing else None

    async def _send(self, step: Step) -> None:
        if step.wanted is None:
            await self._gateway.delete(step.key)
            return
        await self._gateway.write(step.key, resolve(step.wanted.body, self._secrets))

    def _masked(self, text: str) -> str:
        """The gateway may quote what it was sent."""
        for secret in self._secrets.values():
            if len(secret) >= _SHORTEST_MASKED:
                text = text.replace(secret, MASK)
        return text
