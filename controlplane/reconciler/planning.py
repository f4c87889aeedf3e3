"""What a document would change, here and on every gateway: gathered, compared, and never written.

`Planner.plan` takes a document; `Planner.compare` takes any two states, so that whatever makes a state
(a document, an older revision) goes through the same checks.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from pydantic import BaseModel

from controlplane.clock import Clock
from controlplane.core.access import Reach
from controlplane.core.affected import part_of
from controlplane.core.compiled import Compiled
from controlplane.core.declaring import Wanted, declare
from controlplane.core.desired import DesiredState
from controlplane.core.diff import Digest, LiveObject
from controlplane.core.gateways import GatewaySpec
from controlplane.core.going_back import go_back
from controlplane.core.held_limits import HeldLimits
from controlplane.core.memory import Memory
from controlplane.core.objects import ObjectKey
from controlplane.core.pointing import Names
from controlplane.core.reached import reached
from controlplane.core.safety import Refusal
from controlplane.core.selection import able_anywhere, served_nowhere
from controlplane.core.spec import Document
from controlplane.core.tiers import undeclared_tiers
from controlplane.core.verdicts import GatewaySteps, ObjectStep, ThreeWay, recorded
from controlplane.errors import GatewayRefused, GatewayUnavailable, InvalidSpec, PreconditionFailed, Problem
from controlplane.reconciler.both_sides import Compile, compiled_part, compiled_whole
from controlplane.reconciler.passes import GatewayPass
from controlplane.reconciler.plan_checks import Concern, astray, homeless, own_document, pruned, unenforced
from controlplane.reconciler.planned import GatewayPlan, Planned, PlanOptions, Serves, everything, told
from controlplane.reconciler.service import MakePass
from controlplane.reconciler.turns import Turn, leftovers, limit_problems, turns
from controlplane.reconciler.validating import validated
from controlplane.store.reconciling import GatewayRecord, ReconcilingStore
from controlplane.store.records import GatewayStatus
from controlplane.store.rolling_back import Earlier

LOOK_S = 8.0
"""How long a plan waits for a gateway; one that does not answer is planned from what is on record."""

_MOST_ASKED_FOR = 64
"""With more objects than this, reading the whole gateway is quicker than asking for each."""

_CALM = ("converged", "drifted")


class Planner:
    """Makes plans. Raises StoreUnavailable, and InvalidSpec for what cannot be declared at all."""

    def __init__(self, store: ReconcilingStore, make_pass: MakePass, digest: Digest, clock: Clock) -> None:
        self._store = store
        self._make_pass = make_pass
        self.digest = digest
        self._clock = clock

    async def plan(self, document: Document, options: PlanOptions, reach: Reach | None = None) -> Planned:
        """What the document would change, for somebody who reaches so far."""
        current = await self._store.desired()
        if reach is not None:
            return await self._plan_within(document, current, options, reach)
        gateways = await self._store.declared_gateways() if "gateways" in document.model_fields_set else {}
        wanted = await asyncio.to_thread(
            declare, document, current, self.digest, prune=options.prune, gateways=gateways
        )
        refusals = pruned(document, current, wanted, options, gateways)
        if not options.allow_leftovers:
            refusals += await leftovers(self._store, wanted)
        texts = {spec.name: spec for spec in document.gateways}
        return await self.compare(
            current, wanted, options, source=document.source, refusals=refusals, texts=texts
        )

    async def again(self, revision: int, source: str, options: PlanOptions) -> Planned | None:
        """The plan of a document that changed nothing of this revision; None where another is the newest."""
        current = await self._store.desired()
        if current.revision != revision:
            return None
        return await self.compare(current, Wanted(current), options, source=source)

    async def go_back(self, earlier: Earlier, options: PlanOptions) -> Planned:
        """What it takes to come back to an earlier revision. Raises PreconditionFailed."""
        current = await self._store.desired()
        if current.revision != earlier.newest:
            raise PreconditionFailed("somebody else is writing at this moment", remedy="try again")
        wanted = await asyncio.to_thread(
            go_back, earlier.ways(), current, allow_mass_delete=options.allow_mass_delete
        )
        return await self.compare(current, wanted, options)

    async def astray(
        self, declared: Iterable[tuple[str, BaseModel]], names: Names, reach: Reach | None
    ) -> tuple[Problem, ...]:
        """References that lead nowhere, of declarations with mistakes elsewhere; `names` are declared too."""
        return tuple(astray(declared, names, await self._store.desired(), reach))

    async def standing(self, options: PlanOptions, reach: Reach | None = None) -> Planned:
        """What is to be done on the gateways for what is declared already."""
        current = await self._store.desired()
        wanted = Wanted(current)
        serves: Serves = everything
        if reach is not None:
            serves = partial(reached(current, reach).serves, wanted=Wanted(DesiredState()))
        return await self.compare(current, wanted, options, serves=serves)

    async def _plan_within(
        self, document: Document, current: DesiredState, options: PlanOptions, reach: Reach
    ) -> Planned:
        """Somebody's own part of the plan; what lies beyond their reach is as if it were not there."""
        theirs = reached(current, reach)
        document = own_document(document, theirs, reach)
        wanted = declare(document, theirs.own, self.digest, prune=options.prune, beside=theirs.beside)
        wanted = replace(wanted, problems=(*wanted.problems, *homeless(wanted, theirs, reach)))
        refusals = pruned(document, theirs.own, wanted, options)
        serves = partial(theirs.serves, wanted=wanted)
        whole = replace(wanted, state=theirs.put_back(wanted))
        return await self.compare(
            current, whole, options, source=document.source, refusals=refusals, serves=serves
        )

    async def compare(
        self,
        current: DesiredState,
        wanted: Wanted,
        options: PlanOptions,
        *,
        source: str = "",
        refusals: Sequence[Refusal] = (),
        serves: Serves = everything,
        texts: Mapping[str, GatewaySpec] | None = None,
    ) -> Planned:
        """What it takes to come from one state to another; `serves` says which objects are told of.

        `texts` has the declarations of gateways with their secrets, by name.
        """
        every = turns(self._store, await self._store.gateways(), wanted, texts or {})
        usable = [turn for turn in every if turn.then.trouble is None]
        problems = (
            *wanted.problems,
            *unenforced(wanted, [turn.then for turn in usable]),
            *limit_problems(wanted, usable),
        )
        if problems:
            raise InvalidSpec("the document cannot be accepted", problems=problems)
        moment = datetime.fromtimestamp(self._clock.now(), UTC)
        made = await self._gateways(usable, current, wanted, options, moment)
        gateways = tuple(told(plan, serves) for plan, _ in made)
        concern = Concern(wanted, source)
        stopped = (*wanted.refusals, *refusals, *concern.refused(gateways))
        lines = HeldLimits(
            wanted.changes,
            [after for _, after in made if after is not None],
            able_anywhere(turn.then.site for turn in usable),
            whole=serves is everything,
        )
        alone = served_nowhere(wanted.state, [turn.then.site for turn in every])
        alone = {name: labels for name, labels in alone.items() if serves(f"queue {name}")}
        beside = concern.beside(gateways)
        tiers = {*wanted.state.tiers, *(tier for turn in every for tier in turn.then.platform.tiers)}
        tierless = tuple(undeclared_tiers(wanted.tenants, tiers))
        return Planned(source, options, moment, wanted, stopped, gateways, lines, alone, beside, tierless)

    async def stands(self, plan: Planned) -> bool:
        """Whether the same plan would be made now: nothing was declared, and others did nothing more."""
        current = await self._store.desired()
        if current.revision != plan.revision or plan.wanted.gateways:
            return False
        every = turns(self._store, await self._store.gateways(), plan.wanted, {})
        usable = [turn for turn in every if turn.then.trouble is None]
        moment = datetime.fromtimestamp(self._clock.now(), UTC)
        made = [each for each, _ in await self._gateways(usable, current, plan.wanted, plan.options, moment)]
        now = [(each.name, each.of_others()) for each in made]
        stopped = Concern(plan.wanted, plan.source).refused(made)
        return not stopped and now == [(each.name, each.of_others()) for each in plan.gateways]

    def foresee(self, plan: Planned) -> Callable[[int], None]:
        """To be told the number of the revision that carries out the plan, before anybody can see it."""
        return partial(self._store.foresee, plan.wanted.state)

    async def _gateways(
        self,
        every: Sequence[Turn],
        current: DesiredState,
        wanted: Wanted,
        options: PlanOptions,
        moment: datetime,
    ) -> list[tuple[GatewayPlan, Compiled | None]]:
        made = (self._gateway(turn, current, wanted, options, moment) for turn in every)
        return await asyncio.gather(*made)

    async def _gateway(
        self, turn: Turn, current: DesiredState, wanted: Wanted, options: PlanOptions, moment: datetime
    ) -> tuple[GatewayPlan, Compiled | None]:
        if turn.now is None or turn.unseen:
            return await self._unseen(turn, wanted, options, moment)
        record = turn.now
        status = await self._store.status(record.id)
        calm = turn.stays and status.state in _CALM and status.applied_revision >= current.revision
        if calm and not wanted.changes and not options.refresh:
            return GatewayPlan(record.name, status, GatewaySteps(await self._recorded(record))), None
        orders = await self._store.orders(record.id)
        compile_after = None if turn.stays else await self._compile_alone(turn.then, moment)
        async with self._working(record) as work:
            compile_part = _compile(work, record, moment, work.memory)
            made = None
            if calm and not options.refresh:
                part = part_of(current, wanted.state, wanted.of_queues)
                made = await asyncio.to_thread(compiled_part, part, compile_part) if part else None
            if made is None:
                made = await asyncio.to_thread(compiled_whole, current, wanted, compile_part, compile_after)
            before, after = made.before, made.after
            sides = ThreeWay(
                {item.key: item for item in before.objects},
                {item.key: item for item in after.objects},
                made.of_it(await self._store.applied(record.id)),
                work.owner,
                work.digest,
                adopted=orders.adopted,
            )
            judged = await self._judged(record, status, work, sides, after, options)
            return replace(judged, stood=frozenset(before.problems)), after

    async def _unseen(
        self, turn: Turn, wanted: Wanted, options: PlanOptions, moment: datetime
    ) -> tuple[GatewayPlan, Compiled]:
        """What a gateway would get that must not be asked yet."""
        status = await self._store.status(turn.then.id)
        async with self._working(turn.then) as work:
            compile_then = await self._compile_alone(turn.then, moment)
            after = await asyncio.to_thread(compile_then, wanted.state)
            sides = ThreeWay({}, {item.key: item for item in after.objects}, {}, work.owner, work.digest)
        steps, why = sides.judge(sides.after), turn.unseen
        unvalidated = why if options.validate_on_gateway else None
        made = GatewayPlan(turn.then.name, status, steps, trouble=why, problems=after.problems)
        return replace(made, unvalidated=unvalidated), after

    async def _compile_alone(self, record: GatewayRecord, moment: datetime) -> Compile:
        """What compiles for a gateway that is not declared so yet, and leaves nothing in a memory."""
        async with self._working(record) as work:
            return _compile(work, record, moment, Memory())

    @asynccontextmanager
    async def _working(self, record: GatewayRecord) -> AsyncIterator[GatewayPass]:
        """A pass over the gateway that writes nothing."""
        work = self._make_pass(record, lambda: False)
        try:
            yield work
        finally:
            await work.gateway.close()

    async def _judged(
        self,
        record: GatewayRecord,
        status: GatewayStatus,
        work: GatewayPass,
        sides: ThreeWay,
        after: Compiled,
        options: PlanOptions,
    ) -> GatewayPlan:
        touched = sides.touched()
        live, trouble = await _look(work, touched, everything=options.refresh)
        if live is not None:
            sides = sides.seen(live)
        keys = touched
        if options.refresh and live is not None:
            ours = {key for key, found in live.items() if found.owner == work.owner}
            keys = touched | set(sides.after) | ours
        steps = sides.judge(keys)
        if not options.refresh or live is None:
            # What is not looked at is as the last look found it.
            seen = tuple(step for step in await self._recorded(record) if step.key not in keys)
            steps = GatewaySteps(steps.steps + seen, steps.collisions)
        made = GatewayPlan(record.name, status, steps, live is not None, trouble, after.problems)
        return await validated(made, sides.after, work.gateway) if options.validate_on_gateway else made

    async def _recorded(self, record: GatewayRecord) -> tuple[ObjectStep, ...]:
        """The drift that stands, as the last look at the whole gateway found it."""
        found = await self._store.standing_drift(record.id)
        return tuple(recorded(item.key, item.declared_by, item.changes, item.hash) for item in found)


def _compile(work: GatewayPass, record: GatewayRecord, moment: datetime, memory: Memory) -> Compile:
    return partial(work.compiler.compile, moment=moment, abilities=record.abilities, memory=memory)


async def _look(
    work: GatewayPass, keys: Collection[ObjectKey], *, everything: bool
) -> tuple[Mapping[ObjectKey, LiveObject] | None, str | None]:
    """What the gateway holds; or why it could not be asked."""
    if not keys and not everything:
        return {}, None
    try:
        async with asyncio.timeout(LOOK_S):
            if everything or len(keys) > _MOST_ASKED_FOR:
                return await work.gateway.read(), None
            return await work.gateway.find(keys), None
    except TimeoutError:
        return None, f"the gateway did not answer within {LOOK_S:g} s"
    except (GatewayUnavailable, GatewayRefused) as error:
        return None, error.message
