"""Gateways as they are and as a plan would have them: labels, limits, addresses, and some that come or go."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controlplane.core.declaring import DeclaredChange, Wanted
from controlplane.core.gateways import Gateway, GatewaySpec
from controlplane.core.plan import Action
from controlplane.core.safety import Refusal
from controlplane.errors import Problem
from controlplane.store.neighbours import unenforced_by
from controlplane.store.reconciling import GatewayRecord, ReconcilingStore


@dataclass(frozen=True, slots=True)
class Turn:
    """One gateway, before and after."""

    now: GatewayRecord | None
    """None for one that is new, or was switched off."""
    then: GatewayRecord

    @property
    def stays(self) -> bool:
        """Whether nothing is declared anew about it."""
        return self.now is self.then

    @property
    def unseen(self) -> str | None:
        """Why it must not be asked before it is declared: whoever only plans would have us call anybody."""
        if self.now is None:
            return "it is new, and is asked once it is declared"
        if self.now.address != self.then.address:
            return "it is another one from then on, and is asked once that is declared"
        return None


def turns(
    store: ReconcilingStore,
    records: Sequence[GatewayRecord],
    wanted: Wanted,
    texts: Mapping[str, GatewaySpec],
) -> Sequence[Turn]:
    """Every gateway that there would be. `texts` has the declarations with their secrets, by name."""
    changes = {change.name: change for change in wanted.gateways}
    found = [Turn(record, record) for record in records if record.name not in changes]
    present = {record.name: record for record in records}
    for name, change in changes.items():
        if isinstance(change.after, Gateway) and change.after.spec.enabled:
            now = present.get(name)
            found.append(Turn(now, store.as_declared(change.after, texts.get(name), now)))
    return sorted(found, key=lambda turn: turn.then.name)


def limit_problems(wanted: Wanted, found: Sequence[Turn]) -> Iterator[Problem]:
    """What the limits of gateways that change would keep them from enforcing."""
    abilities = {turn.then.name: turn.then.abilities for turn in found}
    for change in wanted.gateways:
        if isinstance(change.after, Gateway) and change.name in abilities:
            top = f"gateways.{change.name}."
            for item in unenforced_by(change.after.spec, wanted.state, abilities[change.name]):
                yield Problem(top + item.field, item.message, item.remedy)


async def leftovers(store: ReconcilingStore, wanted: Wanted) -> tuple[Refusal, ...]:
    """Gateways that would go although our objects are on them."""
    found = []
    for change in wanted.gateways:
        held = await _held(store, change) if change.action is Action.DELETE else 0
        if held:
            objects = "1 object of ours" if held == 1 else f"{held} objects of ours"
            message = f"still holds {objects}, which would stay there with nobody to look after them"
            remedy = "keep it in the file; or --allow-leftovers agrees to that"
            found.append(Refusal(f"gateways.{change.name}", message, remedy))
    return tuple(found)


async def _held(store: ReconcilingStore, change: DeclaredChange) -> int:
    return len(await store.applied(change.before.id)) if change.before else 0
