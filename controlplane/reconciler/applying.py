"""A plan to results: writes in order, a few at once; a failed object holds up only what needs it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import groupby, islice

from controlplane.core.objects import GatewayObject, ObjectKey, resolve, resolved, secret_names
from controlplane.core.plan import Action, Plan, Step
from controlplane.errors import CannotUnseal, GatewayRefused, GatewayUnavailable, SluiceError
from controlplane.gateway.driver import IN_FLIGHT, MOST_IN_FLIGHT, AtOnce, ByObject, Gateway, Writable, Write
from controlplane.reconciler.handover import Handover
from controlplane.reconciler.pace import Pace

_GIVE_UP_AFTER = IN_FLIGHT
"""So many writes in a row that could not be delivered mean that the gateway is gone, not one object ill."""

_KEPT_TOGETHER = 500
"""So many results are handed over at a time: a crash forgets no more than these."""

_LOOKED_AT_TOGETHER = 100


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


async def apply(
    plan: Plan, gateway: Writable, secrets: Mapping[str, str]
) -> AsyncGenerator[list[Result], None]:
    """Carry out a plan, and yield the results as they come, so that they can be kept.

    A gateway that takes everything at once gives them at once, others some hundred of a rank at a time, while
    the writes go on. Close it to end them.
    `secrets` has the text of every secret that the plan's objects name.
    """
    held_up = _HeldUp(secrets)
    if isinstance(gateway, AtOnce):
        held_up.broken(await _broken(plan.steps, gateway))
        yield await _at_once(plan.steps, gateway, held_up)
        return
    applier = _Applier(gateway, held_up, Pace())
    for _, rank in groupby(plan.steps, key=lambda step: (step.action is Action.DELETE, step.key.kind)):
        async with aclosing(applier.run(rank)) as results:
            async for part in results:
                yield part


async def _broken(steps: Iterable[Step], gateway: Gateway) -> Mapping[ObjectKey, str]:
    """Objects that the gateway's own schema would refuse: they are not sent."""
    try:
        return await gateway.check(step.wanted for step in steps if step.wanted)
    except GatewayUnavailable:
        return {}  # the writes will say the same, object by object


class _HeldUp:
    """Why a step is not to be sent at all, and otherwise what is sent, with its secrets."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._broken: dict[ObjectKey, str] = {}
        self._failed: set[ObjectKey] = set()

    def broken(self, broken: Mapping[ObjectKey, str]) -> None:
        """These are not as the gateway wants them."""
        self._broken.update(broken)

    def reason(self, step: Step) -> str | None:
        if broken := self._broken.get(step.key):
            return broken
        needs = step.wanted.references if step.wanted and self._failed else ()
        missing = [reference for reference in needs if reference in self._failed]
        return f"waits for {missing[0]}, which failed" if missing else None

    def failed(self, keys: Iterable[ObjectKey]) -> None:
        """What needs these waits for the next pass."""
        self._failed.update(keys)

    def write(self, step: Step) -> Write:
        """A step as it is sent. Raises CannotUnseal."""
        if step.wanted is None:
            return Write(step.key, None)
        with _opened():
            body = resolve(step.wanted.body, self._secrets)
        return Write(step.key, body, frozenset(self.secrets(step.wanted)))

    def text(self, wanted: GatewayObject) -> bytes:
        """The object as JSON. Raises CannotUnseal."""
        with _opened():
            return resolved(wanted.text, self._secrets)

    def secrets(self, wanted: GatewayObject) -> Iterator[str]:
        """What the gateway is told in it, and may quote; found when it is asked for."""
        for name in secret_names([wanted]):
            yield self._secrets[name]


@contextmanager
def _opened() -> Iterator[None]:
    try:
        yield
    except KeyError as lost:
        found = f"its secret {lost.args[0]} cannot be opened; write it again, or set the right master key"
        raise CannotUnseal(found) from None


async def _at_once(steps: Sequence[Step], gateway: AtOnce, held_up: _HeldUp) -> list[Result]:
    results: list[Result] = []
    batch: list[Step] = []
    writes: list[Write] = []
    for step in steps:
        try:
            reason = held_up.reason(step)
            if reason is None:
                writes.append(held_up.write(step))
                batch.append(step)
        except CannotUnseal as error:
            reason = error.message
        if reason is not None:
            held_up.failed([step.key])
            results.append(Result(step, reason, sent=False))
    if not batch:
        return results
    try:
        left_out = await gateway.write_all(writes)
    except (GatewayUnavailable, GatewayRefused) as error:
        trouble, gone = str(error), isinstance(error, GatewayUnavailable)
        return results + [Result(step, trouble, unreachable=gone) for step in batch]
    return results + [Result(step, left_out.get(step.key), sent=step.key not in left_out) for step in batch]


class _Applier:
    def __init__(self, gateway: ByObject, held_up: _HeldUp, pace: Pace) -> None:
        self._gateway = gateway
        self._held_up = held_up
        self._pace = pace
        self._lost_in_a_row = 0

    async def run(self, steps: Iterator[Step]) -> AsyncGenerator[list[Result], None]:
        """Carry out steps that do not need one another, at the gateway's pace, and give results meanwhile."""
        looked_at = _LookedAt(steps, self._look_at)
        results: Handover[Result] = Handover(_KEPT_TOGETHER)

        async def work_on() -> None:
            while step := await looked_at.next():
                await results.put(await self._one(step))

        workers = [asyncio.create_task(work_on()) for _ in range(MOST_IN_FLIGHT)]
        working = asyncio.gather(*workers)
        working.add_done_callback(lambda _: results.end())
        try:
            while done := await results.take():
                yield done
            await working
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(working, *workers, return_exceptions=True)
            await looked_at.end()

    async def _look_at(self, steps: Sequence[Step]) -> None:
        if not self._gone:
            self._held_up.broken(await _broken(steps, self._gateway))

    @property
    def _gone(self) -> bool:
        return self._lost_in_a_row >= _GIVE_UP_AFTER

    async def _one(self, step: Step) -> Result:
        result = await self._tried(step)
        if not result.ok:
            self._held_up.failed([step.key])
        return result

    async def _tried(self, step: Step) -> Result:
        if reason := self._held_up.reason(step):
            return Result(step, reason, sent=False)
        async with self._pace.turn():
            # While this one waited for its turn, others may have found that nobody answers any more.
            if self._gone:
                gone = "not tried: the gateway cannot be reached"
                return Result(step, gone, sent=False, unreachable=True)
            return await self._sent(step)

    async def _sent(self, step: Step) -> Result:
        try:
            if step.wanted is None:
                await self._gateway.delete(step.key)
            else:
                text, secrets = self._held_up.text(step.wanted), self._held_up.secrets(step.wanted)
                await self._gateway.write(step.key, text, secrets)
        except GatewayUnavailable as error:
            self._lost_in_a_row += 1
            return Result(step, str(error), unreachable=True)
        except GatewayRefused as error:
            self._lost_in_a_row = 0
            return Result(step, str(error))
        except SluiceError as error:
            return Result(step, str(error), sent=False)
        self._lost_in_a_row = 0
        return Result(step)


class _LookedAt:
    """Steps for several workers, looked at some at a time while those before them are carried out."""

    def __init__(self, steps: Iterator[Step], look_at: Callable[[Sequence[Step]], Awaitable[None]]) -> None:
        self._steps = steps
        self._look_at = look_at
        self._next: deque[Step] = deque()
        self._taking = asyncio.Lock()
        self._ahead: asyncio.Task[Sequence[Step]] | None = None

    async def next(self) -> Step | None:
        """The next step; None when there is none left."""
        if not self._next:
            async with self._taking:
                if not self._next:
                    await self._take()
        return self._next.popleft() if self._next else None

    async def end(self) -> None:
        """Look no further."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)

    async def _take(self) -> None:
        if self._ahead is None:
            self._ahead = asyncio.create_task(self._look())
        self._next.extend(await self._ahead)
        if self._next:
            self._ahead = asyncio.create_task(self._look())

    async def _look(self) -> Sequence[Step]:
        some = list(islice(self._steps, _LOOKED_AT_TOGETHER))
        if some:
            await self._look_at(some)
        return some
