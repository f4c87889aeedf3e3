"""What stands against a plan, and what of a document somebody may declare at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import BaseModel

from controlplane.core import selection
from controlplane.core.above import Above
from controlplane.core.access import Reach
from controlplane.core.declaring import Wanted, named
from controlplane.core.desired import DesiredState
from controlplane.core.forwarding import rule_problems
from controlplane.core.gateways import Gateway
from controlplane.core.plan import Action
from controlplane.core.pointing import Names, leading_nowhere
from controlplane.core.reached import KINDS, Reached, reached
from controlplane.core.safety import Refusal, prune_refusals
from controlplane.core.spec import Document
from controlplane.errors import Problem
from controlplane.reconciler.planned import GatewayPlan, PlanOptions
from controlplane.store.reaching import no_host, writable
from controlplane.store.reconciling import GatewayRecord
from controlplane.store.records import Kind, Spec
from controlplane.store.writes import name_taken


def own_document(document: Document, theirs: Reached, reach: Reach) -> Document:
    """The document as they may declare it. Raises Forbidden, InvalidSpec, and Conflict for taken names."""
    for gateway in document.gateways:
        writable(Kind.GATEWAY, reach, gateway)
    parts: dict[str, tuple[Spec, ...]] = {}
    for kind in KINDS:
        specs = tuple(writable(Kind(kind), reach, spec) for spec in getattr(document, f"{kind}s"))
        for spec in specs:
            if theirs.hides(kind, spec.name):
                raise name_taken(Kind(kind), spec.name)
        parts[f"{kind}s"] = specs
    return document.model_copy(update=parts)


def astray(
    declared: Iterable[tuple[str, BaseModel]], names: Names, current: DesiredState, reach: Reach | None
) -> Iterator[Problem]:
    """References that lead neither to these names nor to what somebody with this reach may use."""
    theirs = None if reach is None else reached(current, reach)
    usable = (current,) if theirs is None else (theirs.own, theirs.beside)

    def known(kind: str) -> set[str]:
        return {*names.get(kind, ()), *(name for state in usable for name in named(state, kind))}

    return leading_nowhere(
        declared,
        lambda kind, name: name in names.get(kind, ()) or any(name in named(state, kind) for state in usable),
        known,
    )


def homeless(wanted: Wanted, theirs: Reached, reach: Reach) -> Iterator[Problem]:
    """The rules of a tenant that could only answer for everybody's hosts."""
    tenant = theirs.beside.tenants.get(reach.tenant)
    if tenant is not None and tenant.spec.subdomain is not None:
        return
    for change in wanted.changes:
        if change.kind == "rule" and change.after is not None:
            yield no_host(reach, f"rules.{change.name}.tenant")


def pruned(
    document: Document,
    current: DesiredState,
    wanted: Wanted,
    options: PlanOptions,
    gateways: Mapping[str, Gateway] | None = None,
) -> tuple[Refusal, ...]:
    if not options.prune:
        return ()
    every = (*(named(current, kind) for kind in KINDS), gateways or {})
    owned = sum(item.source == document.source for items in every for item in items.values())
    declared = len(document.gateways) + sum(len(getattr(document, f"{kind}s")) for kind in KINDS)
    deletes = [str(change) for change in wanted.changes if change.action is Action.DELETE]
    return prune_refusals(
        document.source,
        declared=declared,
        owned=owned,
        deletes=deletes,
        allow_mass_delete=options.allow_mass_delete,
    )


def unenforced(wanted: Wanted, gateways: Sequence[GatewayRecord]) -> tuple[Problem, ...]:
    """What no gateway would enforce of the objects that change."""
    changed = {
        (f"{change.kind}s", change.name)
        for change in wanted.changes
        if change.after and change.kind != "gateway"  # what it is to enforce stands in its own plan
    }
    if not changed:
        return ()
    above = Above(wanted.state)
    queues = {name for kind, name in changed if kind == "queues"}
    for kind, name in changed - {("queues", name) for name in queues}:
        queues |= above.queues_under(kind.removesuffix("s"), name)
    found = selection.unenforced(wanted.state, sorted(queues), [gateway.site for gateway in gateways])
    tenants = {name for kind, name in changed if kind == "tenants"}
    rules = {name for name, rule in wanted.state.rules.items() if rule.spec.tenant in tenants}
    rules |= {name for kind, name in changed if kind == "rules"}
    found += tuple(rule_problems(wanted.state, new=rules))
    about = changed | {("queues", name) for name in queues} | {("rules", name) for name in rules}
    return tuple(problem for problem in found if tuple(problem.field.split(".")[:2]) in about)


@dataclass(frozen=True)
class Concern:
    """What a plan answers for: what it changes, and what its source declares.

    What stands against somebody else's objects on a gateway holds up nobody but them.
    """

    wanted: Wanted
    source: str

    def refused(self, gateways: Sequence[GatewayPlan]) -> tuple[Refusal, ...]:
        """What stands against the plan on the gateways."""
        return tuple(found for found, ours in self._found(gateways) if ours)

    def beside(self, gateways: Sequence[GatewayPlan]) -> tuple[Refusal, ...]:
        """What stands against others there."""
        return tuple(found for found, ours in self._found(gateways) if not ours)

    def _found(self, gateways: Sequence[GatewayPlan]) -> Iterator[tuple[Refusal, bool]]:
        for gateway in gateways:
            about = f"gateway {gateway.name}"
            for collision in gateway.steps.collisions:
                remedy = "`ctl adopt` shows it, and takes it over on --yes; or remove or rename it"
                kind, _, name = collision.declared_by.partition(" ")
                yield Refusal(about, str(collision), remedy), self._is_ours(kind, name)
            yield from ((refusal, True) for refusal in _unasked_for(gateway))
            for problem in gateway.problems:
                message = f"{problem.field} cannot be enforced there: {problem.message}"
                refusal = Refusal(about, message, problem.remedy or "choose another gateway for it")
                kind, _, name = problem.field.partition(".")
                ours = problem not in gateway.stood or self._is_ours(kind[:-1], name.partition(".")[0])
                yield refusal, ours

    def _is_ours(self, kind: str, name: str) -> bool:
        if kind not in KINDS or (kind, name) in self._changed:
            return True
        item = named(self.wanted.state, kind).get(name)
        return item is not None and item.source == self.source

    @cached_property
    def _changed(self) -> frozenset[tuple[str, str]]:
        return frozenset((change.kind, change.name) for change in self.wanted.changes)


def _unasked_for(gateway: GatewayPlan) -> Iterator[Refusal]:
    """What a gateway would not take, where it was asked."""
    about = f"gateway {gateway.name}"
    for item in gateway.rejections:
        message = f"{item.key} ({item.declared_by}) would not be taken: {item.reason}"
        remedy = f"change {item.declared_by}, or what of the gateway stands against it"
        yield Refusal(about, message, remedy)
    if gateway.unasked:
        yield Refusal(about, gateway.unasked, "leave --validate-on-gateway out to plan without its opinion")
