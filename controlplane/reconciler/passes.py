"""One pass over one gateway: gather, plan, apply, record."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice

import structlog

from controlplane.clock import Clock
from controlplane.core.abilities import Abilities
from controlplane.core.compile import Compiler
from controlplane.core.compiled import Compiled
from controlplane.core.desired import DesiredState
from controlplane.core.diff import Digest, LiveObject
from controlplane.core.gateways import Drift
from controlplane.core.memory import Memory
from controlplane.core.objects import ObjectKey, secret_names
from controlplane.core.plan import (
    Action,
    Plan,
    Reason,
    leave_foreign,
    plan_against_applied,
    plan_against_live,
)
from controlplane.errors import GatewayUnavailable, Problem, SluiceError, StoreUnavailable
from controlplane.gateway.driver import Writable
from controlplane.logs import where
from controlplane.reconciler.applying import Result, apply
from controlplane.reconciler.drift import DriftWatch
from controlplane.reconciler.settled import Settled
from controlplane.reconciler.status import LeadershipLost, State
from controlplane.store.drift import Orders
from controlplane.store.reconciling import GatewayRecord, ObjectResult, PassReport, ReconcilingStore

log = structlog.get_logger(__name__)

_MOST_ASKED_FOR = 64
"""With more objects to write than this, reading the whole gateway is quicker than asking for each."""


@dataclass
class GatewayPass:
    """Brings one gateway to the desired state, and remembers what it wrote."""

    record: GatewayRecord
    gateway: Writable
    compiler: Compiler
    store: ReconcilingStore
    digest: Digest
    owner: str
    clock: Clock
    replica: str
    may_write: Callable[[], bool]
    memory: Memory = field(default_factory=Memory)
    """What was compiled before, for whoever compiles for this gateway."""
    applied: dict[ObjectKey, str] = field(default_factory=dict)
    plugins: frozenset[str] | None = None
    """What the gateway lists; None until it has been asked."""
    drift: DriftWatch = field(default_factory=DriftWatch)
    settled: Settled | None = None
    """What the last pass left, where it left nothing to do."""
    as_of: datetime | None = None
    """The moment that the last pass was made for: keys end."""

    async def recall(self) -> None:
        """Read back what was written before this replica led. Raises StoreUnavailable."""
        self.applied = dict(await self.store.applied(self.record.id))
        self.drift = DriftWatch.recalled(await self.store.standing_drift(self.record.id))
        self.settled = None

    async def run(self, desired: DesiredState, *, look: bool) -> PassReport:
        """One pass. With `look` the gateway is read for drift; without, only what changed is sent.

        Raises StoreUnavailable and LeadershipLost; a gateway in trouble is told in the report.
        """
        settled, self.settled = self.settled, None
        try:
            orders = await self.store.orders(self.record.id)
            look = look or orders.heal_asked_at is not None
            abilities = await self._abilities(look=look)
            self.as_of = self._now()
            same = settled and settled.covers(desired, abilities, self.as_of) and not orders.heal_asked_at
            if settled and same and (not look or await self._is_as_it_was(settled)):
                return await self._as_before(settled)
            compiled = await asyncio.to_thread(
                self.compiler.compile, desired, self.as_of, abilities, self.memory
            )
            self.memory.tidy_up(len(compiled.made))
            plan = await self._plan(compiled, orders, settled, look=look)
            results = await self._apply(plan)
            await self._carried_out(orders, results)
        except (StoreUnavailable, LeadershipLost):
            raise
        except GatewayUnavailable as error:
            return await self._ended_early(State.UNREACHABLE, desired.revision, str(error))
        except SluiceError as error:
            return await self._ended_early(State.DEGRADED, desired.revision, str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours must be told, and must not end the loop
            log.error("pass_failed", gateway=self.record.name, error=type(error).__name__, where=where(error))  # noqa: TRY400
            trouble = f"a fault in Sluice ended the pass ({type(error).__name__}); the log has more"
            return await self._ended_early(State.DEGRADED, desired.revision, trouble)
        report = self._judge(desired.revision, plan, results, compiled.problems)
        await self.store.record(report, self._foreign_results(plan))
        if report.state in (State.CONVERGED, State.DRIFTED):
            seen = self.gateway.read_stamp if look else settled.stamp if settled else None
            stamp, end = None if results else seen, desired.next_end(self.as_of)
            self.settled = Settled(desired.revision, abilities, compiled.made, end, stamp)
        return report

    async def _is_as_it_was(self, settled: Settled) -> bool:
        """Whether the gateway holds what it held at the last look."""
        same = settled.stamp is not None and await self.gateway.stamp() == settled.stamp
        if same:
            await self.store.record_same_look(self.record.id, self._now())
        return same

    async def _as_before(self, settled: Settled) -> PassReport:
        """Nothing has changed here or there since the last pass, so that there is nothing to do."""
        self.settled = settled
        report = self._judge(settled.revision, Plan(), (), ())
        await self.store.record(report, ())
        return report

    def ends_in_s(self, desired: DesiredState) -> float | None:
        """How long until the gateway must be told although nothing is declared: a key ends."""
        end = desired.next_end(self.as_of or self._now())
        return None if end is None else max(0.0, end.timestamp() - self.clock.now())

    async def _abilities(self, *, look: bool) -> Abilities:
        """What the gateway can do, kept where declarations are checked."""
        if look or self.plugins is None:
            plugins = (await self.gateway.capabilities()).plugins
            if plugins != self.plugins:
                await self.store.record_plugins(self.record.id, plugins)
                self.plugins = plugins
        return Abilities.of(self.plugins or ())

    async def _ended_early(self, state: State, revision: int, trouble: str) -> PassReport:
        report = self._report(state, revision, error=trouble)
        await self.store.record(report, [])
        return report

    async def _plan(self, compiled: Compiled, orders: Orders, settled: Settled | None, *, look: bool) -> Plan:
        if not look and (plan := self._plan_of_news(compiled, settled)) is not None:
            there = await self.gateway.find([step.key for step in plan.steps])
            return leave_foreign(plan, there, owner=self.owner, adopted=orders.adopted)
        live = await self.gateway.read()
        # Apart from the loop, which has others to serve: there may be tens of thousands of objects.
        compare = partial(plan_against_live, owner=self.owner, digest=self.digest, adopted=orders.adopted)
        plan = await asyncio.to_thread(compare, compiled.objects, live, self.applied)
        heal = self.record.drift is Drift.HEAL or orders.heal_asked_at is not None
        plan, found = self.drift.seen(plan, self.applied, heal=heal)
        await self.store.record_look(self.record.id, self._now(), self.drift.standing, found)
        await self._take_stock(compiled, plan, live)
        return plan

    def _plan_of_news(self, compiled: Compiled, settled: Settled | None) -> Plan | None:
        """What is to be written as far as we know; what was settled and is still the same needs no look.

        None where that is more than the gateway is asked for one by one.
        """
        news, olds = settled.differing(compiled.made) if settled else (compiled.objects, ())
        changed = (item for item in news if self.applied.get(item.key) != item.hash)
        if next(islice(changed, _MOST_ASKED_FOR, None), None) is not None:
            return None
        applied: Mapping[ObjectKey, str] = self.applied
        if settled is not None:
            about = {item.key for item in (*news, *olds)}
            applied = {key: self.applied[key] for key in about & self.applied.keys()}
        plan = plan_against_applied(news, applied)
        return plan if len(plan.steps) <= _MOST_ASKED_FOR else None

    async def _take_stock(self, compiled: Compiled, plan: Plan, live: Mapping[ObjectKey, LiveObject]) -> None:
        """What is as it should be counts as written, whoever wrote it: a crash may have come between."""
        touched = {step.key for step in plan.steps} | {item.key for item in plan.foreign}
        right = {item.key: item for item in compiled.objects if item.key not in touched}
        new = [item for item in right.values() if self.applied.get(item.key) != item.hash]
        gone = (key for key in self.applied if key not in live or live[key].owner != self.owner)
        vanished = [key for key in gone if key not in right]
        results = [ObjectResult(item.key, item.declared_by, item.hash, None) for item in new]
        results += [ObjectResult(key, str(Reason.WITHDRAWN), None, None) for key in vanished]
        if results:
            await self.store.record(PassReport(self.record.id, self._now(), self.replica), results)
        # What is to go stays ours until it is gone: its removal may fail, and be for a later pass to do.
        going = [step.key for step in plan.steps if step.action is Action.DELETE]
        self.applied = {key: self.applied.get(key, "") for key in going}
        self.applied |= {key: item.hash for key, item in right.items()}

    async def _apply(self, plan: Plan) -> list[Result]:
        if not plan:
            return []
        names = secret_names(step.wanted for step in plan.steps if step.wanted)
        secrets = await self.store.unseal(sorted(names))
        done: list[Result] = []
        keeping: asyncio.Task[None] | None = None
        try:
            async with aclosing(apply(plan, self.gateway, secrets)) as parts:
                async for results in parts:
                    self._remember(results)
                    done += results
                    if keeping is not None:
                        await keeping
                    # Beside the next writes, which need not wait for the database.
                    keeping = asyncio.create_task(self._keep(results))
                    if not self.may_write():
                        lost = f"another replica may lead {self.record.name} now; this pass ends here"
                        raise LeadershipLost(lost)
        finally:
            if keeping is not None:
                await keeping
        return done

    async def _carried_out(self, orders: Orders, results: Sequence[Result]) -> None:
        """Orders are done once their writes are; what failed is tried again with the next pass."""
        failed = {result.step.key for result in results if not result.ok}
        taken = [result.step.key for result in results if result.ok and result.step.key in orders.adopted]
        undone = orders.heal_asked_at is not None and not failed & self.drift.known.keys()
        if undone or taken:
            done = orders if undone else replace(orders, heal_asked_at=None)
            await self.store.carried_out(self.record.id, done, taken)

    def _remember(self, results: Sequence[Result]) -> None:
        self.drift.written(result.step.key for result in results if result.ok)
        for result in results:
            if result.ok and result.step.wanted is not None:
                self.applied[result.step.key] = result.step.wanted.hash
            elif result.ok:
                self.applied.pop(result.step.key, None)

    async def _keep(self, results: Sequence[Result]) -> None:
        """Keep the results as they come, so that a crash forgets as little as can be."""
        writes = sum(result.sent for result in results)
        report = PassReport(self.record.id, self._now(), self.replica, writes)
        await self.store.record(report, [_object_result(result) for result in results])

    def _judge(
        self, revision: int, plan: Plan, results: Sequence[Result], problems: Sequence[Problem]
    ) -> PassReport:
        troubles = [f"{result.step.key}: {result.error}" for result in results if result.error]
        troubles += [str(item) for item in plan.foreign] + [str(problem) for problem in problems]
        if any(result.unreachable for result in results):
            return self._report(State.UNREACHABLE, revision, error=troubles[0])
        if troubles:
            more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
            return self._report(State.DEGRADED, revision, error=troubles[0] + more)
        if self.drift.standing:
            return self._report(State.DRIFTED, revision, error=str(self.drift))
        return self._report(State.CONVERGED, revision)

    def _report(self, state: State, revision: int, error: str | None = None) -> PassReport:
        # A revision counts as applied only where all of it is.
        applied = revision if state in (State.CONVERGED, State.DRIFTED) else None
        return PassReport(self.record.id, self._now(), self.replica, 0, state.value, applied, error)

    def _foreign_results(self, plan: Plan) -> list[ObjectResult]:
        return [ObjectResult(item.key, item.declared_by, None, str(item)) for item in plan.foreign]

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), UTC)


def _object_result(result: Result) -> ObjectResult:
    wanted = result.step.wanted
    written = wanted.hash if wanted is not None and result.ok else None
    declared_by = wanted.declared_by if wanted is not None else str(Reason.WITHDRAWN)
    return ObjectResult(result.step.key, declared_by, written, result.error)
