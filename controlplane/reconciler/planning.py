"""What a document would change, here and on every gateway: gathered, compared, and never written.

`Planner.plan` takes a document; `Planner.compare` takes any two states, so that whatever makes a state
(a document, an older revision) goes through the same checks.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from controlplane.clock import Clock
from controlplane.core.compile import Compiled
from controlplane.core.declaring import Wanted, declare
from controlplane.core.desired import DesiredState
from controlplane.core.diff import Digest, LiveObject
from controlplane.core.enforcement import Enforcement, unenforceable
from controlplane.core.objects import ObjectKey
from controlplane.core.plan import Action
from controlplane.core.safety import Refusal, prune_refusals
from controlplane.core.spec import Document
from controlplane.core.verdicts import GatewaySteps, ThreeWay
from controlplane.errors import GatewayRefused, GatewayUnavailable, InvalidSpec, Problem
from controlplane.reconciler.passes import GatewayPass
from controlplane.reconciler.service import MakePass
from controlplane.store.reconciling import GatewayRecord, ReconcilingStore
from controlplane.store.records import GatewayStatus

LOOK_S = 8.0
"""How long a plan waits for a gateway; one that does not answer is planned from what is on record."""

_MOST_ASKED_FOR = 64
"""With more objects than this, reading the whole gateway is quicker than asking for each."""

_CALM = ("converged", "drifted")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a plan is made."""

    prune: bool = False
    """Remove what the document's source declared before and no longer does."""
    allow_mass_delete: bool = False
    refresh: bool = False
    """Read every gateway now, instead of only what is to be written."""


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """What is to be done on one gateway."""

    name: str
    status: GatewayStatus
    steps: GatewaySteps = field(default_factory=GatewaySteps)
    looked: bool = False
    """Whether the gateway was asked for the objects that the steps are about."""
    trouble: str | None = None
    """Why it could not be asked."""
    problems: tuple[Problem, ...] = ()
    """What this gateway cannot enforce."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan: what would be declared, what every gateway would be told, and what stands against it."""

    source: str
    options: PlanOptions
    made_at: datetime
    wanted: Wanted
    refusals: tuple[Refusal, ...]
    gateways: tuple[GatewayPlan, ...]
    enforcement: tuple[Enforcement, ...]

    @property
    def revision(self) -> int:
        """The revision that the plan starts from."""
        return self.wanted.state.revision


class Planner:
    """Makes plans. Raises StoreUnavailable, and InvalidSpec for what cannot be declared at all."""

    def __init__(self, store: ReconcilingStore, make_pass: MakePass, digest: Digest, clock: Clock) -> None:
        self._store = store
        self._make_pass = make_pass
        self.digest = digest
        self._clock = clock

    async def plan(self, document: Document, options: PlanOptions) -> Planned:
        """What the document would change."""
        current = await self._store.desired()
        wanted = await asyncio.to_thread(declare, document, current, self.digest, prune=options.prune)
        return await self.compare(
            current,
            wanted,
            options,
            source=document.source,
            refusals=_prune(document, current, wanted, options),
        )

    async def standing(self, options: PlanOptions) -> Planned:
        """What is to be done on the gateways for what is declared already."""
        current = await self._store.desired()
        return await self.compare(current, Wanted(current), options)

    async def compare(
        self,
        current: DesiredState,
        wanted: Wanted,
        options: PlanOptions,
        *,
        source: str = "",
        refusals: Sequence[Refusal] = (),
    ) -> Planned:
        """What it takes to come from one state to another."""
        problems = (*wanted.problems, *_unenforced(wanted))
        if problems:
            raise InvalidSpec("the document cannot be accepted", problems=problems)
        moment = datetime.fromtimestamp(self._clock.now(), UTC)
        records = [record for record in await self._store.gateways() if record.trouble is None]
        made = await asyncio.gather(
            *(self._gateway(record, current, wanted, options, moment) for record in records)
        )
        gateways = tuple(plan for plan, _ in made)
        stopped = (*wanted.refusals, *refusals, *_refused(gateways))
        report = made[0][1].report if made and made[0][1] else ()
        changed = {change.name for change in wanted.changes if change.kind == "queue"}
        lines = tuple(line for line in report if line.queue in changed)
        return Planned(source, options, moment, wanted, stopped, gateways, lines)

    async def _gateway(
        self,
        record: GatewayRecord,
        current: DesiredState,
        wanted: Wanted,
        options: PlanOptions,
        moment: datetime,
    ) -> tuple[GatewayPlan, Compiled | None]:
        status = await self._store.status(record.id)
        calm = status.state in _CALM and status.applied_revision >= current.revision
        if calm and not wanted.changes and not options.refresh:
            return GatewayPlan(record.name, status), None
        work = self._make_pass(record, lambda: False)
        try:
            after = await asyncio.to_thread(work.compiler.compile, wanted.state, moment)
            before = after
            if wanted.changes:
                before = await asyncio.to_thread(work.compiler.compile, current, moment)
            sides = ThreeWay(
                {item.key: item for item in before.objects},
                {item.key: item for item in after.objects},
                await self._store.applied(record.id),
                work.owner,
                work.digest,
            )
            return await self._judged(record, status, work, sides, after, options), after
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
        return GatewayPlan(record.name, status, steps, live is not None, trouble, after.problems)


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


def _prune(
    document: Document, current: DesiredState, wanted: Wanted, options: PlanOptions
) -> tuple[Refusal, ...]:
    if not options.prune:
        return ()
    kinds = (current.providers, current.tenants, current.queues, current.keys)
    owned = sum(item.source == document.source for items in kinds for item in items.values())
    declared = sum(map(len, (document.providers, document.tenants, document.queues, document.keys)))
    deletes = [str(change) for change in wanted.changes if change.action is Action.DELETE]
    return prune_refusals(
        document.source,
        declared=declared,
        owned=owned,
        deletes=deletes,
        allow_mass_delete=options.allow_mass_delete,
    )


def _unenforced(wanted: Wanted) -> tuple[Problem, ...]:
    """What no gateway would enforce of the objects that change."""
    changed = {(f"{change.kind}s", change.name) for change in wanted.changes if change.after}
    providers = {name for kind, name in changed if kind == "providers"}
    queues = {name for kind, name in changed if kind == "queues"}
    queues |= {
        name
        for name, queue in (wanted.state.queues.items() if providers else ())
        if any(member.provider in providers for member in queue.spec.members)
    }
    if not changed:
        return ()
    found = unenforceable(wanted.state, sorted(queues))
    about = changed | {("queues", name) for name in queues}
    return tuple(problem for problem in found if tuple(problem.field.split(".")[:2]) in about)


def _refused(gateways: Sequence[GatewayPlan]) -> list[Refusal]:
    found = []
    for gateway in gateways:
        for collision in gateway.steps.collisions:
            remedy = "`ctl adopt` shows it, and takes it over on --yes; or remove or rename it"
            found.append(Refusal(f"gateway {gateway.name}", str(collision), remedy))
        for problem in gateway.problems:
            message = f"{problem.field} cannot be enforced there: {problem.message}"
            remedy = problem.remedy or "choose another gateway for it"
            found.append(Refusal(f"gateway {gateway.name}", message, remedy))
    return found
