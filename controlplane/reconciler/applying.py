"""A plan to results: writes in order, a few at once; a failed object holds up only what needs it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from controlplane.core.objects import ObjectKey, resolve
from controlplane.core.plan import Action, Plan, Step
from controlplane.core.secrets import MASK
from controlplane.errors import GatewayRefused, GatewayUnavailable, SluiceError
from controlplane.gateway.driver import IN_FLIGHT, AtOnce, ByObject, Gateway, Writable, Write

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


async def apply(plan: Plan, gateway: Writable, secrets: Mapping[str, str]) -> AsyncIterator[list[Result]]:
    """Carry out a plan, and yield the results as they come, so that they can be kept.

    A gateway that takes everything at once gives them at once, others rank by rank. `secrets` has the text
    of every secret that the plan's objects name.
    """
    held_up = _HeldUp(secrets, await _broken(plan, gateway))
    if isinstance(gateway, AtOnce):
        yield await _at_once(plan.steps, gateway, held_up)
        return
    applier = _Applier(gateway, held_up)
    for _, rank in groupby(plan.steps, key=lambda step: (step.action is Action.DELETE, step.key.kind)):
        yield await applier.run(list(rank))


async def _broken(plan: Plan, gateway: Gateway) -> Mapping[ObjectKey, str]:
    """Objects that the gateway's own schema would refuse: they are not sent."""
    try:
        return await gateway.check(step.wanted for step in plan.steps if step.wanted)
    except GatewayUnavailable:
        return {}  # the writes will say the same, object by object


class _HeldUp:
    """Why a step is not to be sent at all, and what must not be seen of its failure."""

    def __init__(self, secrets: Mapping[str, str], broken: Mapping[ObjectKey, str]) -> None:
        self._secrets = secrets
        self._broken = broken
        self._failed: set[ObjectKey] = set()

    def reason(self, step: Step) -> str | None:
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

    def failed(self, keys: Iterable[ObjectKey]) -> None:
        """What needs these waits for the next pass."""
        self._failed.update(keys)

    def write(self, step: Step) -> Write:
        body = resolve(step.wanted.body, self._secrets) if step.wanted is not None else None
        return Write(step.key, body)

    def masked(self, text: str) -> str:
        """The gateway may quote what it was sent."""
        for secret in self._secrets.values():
            if len(secret) >= _SHORTEST_MASKED:
                text = text.replace(secret, MASK)
        return text


async def _at_once(steps: Sequence[Step], gateway: AtOnce, held_up: _HeldUp) -> list[Result]:
    results: list[Result] = []
    batch: list[Step] = []
    for step in steps:
        if reason := held_up.reason(step):
            held_up.failed([step.key])
            results.append(Result(step, reason, sent=False))
        else:
            batch.append(step)
    if not batch:
        return results
    try:
        left_out = await gateway.write_all([held_up.write(step) for step in batch])
    except (GatewayUnavailable, GatewayRefused) as error:
        trouble, gone = held_up.masked(str(error)), isinstance(error, GatewayUnavailable)
        return results + [Result(step, trouble, unreachable=gone) for step in batch]
    return results + [Result(step, left_out.get(step.key), sent=step.key not in left_out) for step in batch]


class _Applier:
    def __init__(self, gateway: ByObject, held_up: _HeldUp) -> None:
        self._gateway = gateway
        self._held_up = held_up
        self._lost_in_a_row = 0
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, steps: Iterable[Step]) -> list[Result]:
        results = await asyncio.gather(*(self._one(step) for step in steps))
        self._held_up.failed(result.step.key for result in results if not result.ok)
        return results

    async def _one(self, step: Step) -> Result:
        async with self._gate:
            if self._gone:
                gone = "not tried: the gateway cannot be reached"
                return Result(step, gone, sent=False, unreachable=True)
            if reason := self._held_up.reason(step):
                return Result(step, reason, sent=False)
            try:
                await self._send(self._held_up.write(step))
            except GatewayUnavailable as error:
                self._lost_in_a_row += 1
                return Result(step, self._held_up.masked(str(error)), unreachable=True)
            except GatewayRefused as error:
                self._lost_in_a_row = 0
                return Result(step, self._held_up.masked(str(error)))
            except SluiceError as error:
                return Result(step, self._held_up.masked(str(error)), sent=False)
            self._lost_in_a_row = 0
            return Result(step)

    @property
    def _gone(self) -> bool:
        return self._lost_in_a_row >= _GIVE_UP_AFTER

    async def _send(self, write: Write) -> None:
        if write.body is None:
            await self._gateway.delete(write.key)
        else:
            await self._gateway.write(write.key, write.body)
