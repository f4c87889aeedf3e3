"""An earlier revision as what is wanted now: what comes back, what goes, and what stands against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast
from uuid import UUID

from controlplane.core.comparing import spec_differences
from controlplane.core.declaring import DeclaredChange, Item, Wanted, dangling, named, secrets_of, still_used
from controlplane.core.desired import DesiredState, Key, Provider, Queue, Rule, Tenant, Tier
from controlplane.core.diff import FieldChange
from controlplane.core.plan import Action
from controlplane.core.safety import Refusal, too_many

T = TypeVar("T", bound=Item)
_KINDS = ("provider", "tenant", "queue", "key", "rule", "tier")


@dataclass(frozen=True, slots=True)
class WayBack:
    """One object as it was; None where it was not there yet, or no longer."""

    kind: str
    id: UUID
    target: Item | None


def go_back(ways: Sequence[WayBack], current: DesiredState, *, allow_mass_delete: bool = False) -> Wanted:
    """Lay an earlier revision over the current state: what was changed since is as it was then.

    What has come since goes, unless it is protected.
    """
    present = {(kind, item.id): item for kind in _KINDS for item in named(current, kind).values()}
    protected: list[str] = []
    wanted: dict[tuple[str, UUID], Item | None] = {}
    changes: list[DeclaredChange] = []
    for way in ways:
        before = present.get((way.kind, way.id))
        if way.target is None and before is not None and before.spec.protect:
            protected.append(f"{way.kind} {before.spec.name}")
            continue
        if change := _change(way.kind, before, way.target):
            changes.append(change)
            wanted[way.kind, way.id] = way.target
    state = DesiredState(
        current.revision,
        cast(Mapping[str, Provider], _laid("provider", current.providers, wanted)),
        cast(Mapping[str, Tenant], _laid("tenant", current.tenants, wanted)),
        cast(Mapping[str, Queue], _laid("queue", current.queues, wanted)),
        cast(Mapping[str, Key], _laid("key", current.keys, wanted)),
        cast(Mapping[str, Rule], _laid("rule", current.rules, wanted)),
        cast(Mapping[str, Tier], _laid("tier", current.tiers, wanted)),
    )
    gone = [
        change
        for change in changes
        if change.action is Action.DELETE and change.name not in named(state, change.kind)
    ]
    refusals = [*_name_clashes(current, wanted), *still_used(gone, state)]
    deletes = sum(change.action is Action.DELETE for change in changes)
    if not allow_mass_delete and too_many(deletes, len(present)):
        message = f"going back would remove {deletes} of {len(present)} objects"
        refusals.append(Refusal("", message, "--allow-mass-delete agrees to that"))
    problems = tuple(dangling(changes, (state,)))
    return Wanted(state, tuple(changes), tuple(refusals), problems, tuple(protected))


def _change(kind: str, before: Item | None, after: Item | None) -> DeclaredChange | None:
    if after is None:
        if before is None:
            return None
        return DeclaredChange(Action.DELETE, kind, before.spec.name, before=before)
    if before is None:
        return DeclaredChange(Action.CREATE, kind, after.spec.name, after=after)
    sides = ((before.spec.name, after.spec.name), (before.source, after.source))
    fields = tuple(
        FieldChange(name, was, is_now)
        for name, (was, is_now) in zip(("name", "source"), sides, strict=True)
        if was != is_now
    )
    fields += spec_differences(before.spec, after.spec, secrets_of(before), secrets_of(after))
    return DeclaredChange(Action.UPDATE, kind, after.spec.name, fields, before, after) if fields else None


def _laid(
    kind: str, current: Mapping[str, T], wanted: Mapping[tuple[str, UUID], Item | None]
) -> Mapping[str, Item]:
    """The objects of a kind that there would be; the same mapping where nothing changes."""
    ids = {object_id for other, object_id in wanted if other == kind}
    if not ids:
        return current
    kept: dict[str, Item] = {name: item for name, item in current.items() if item.id not in ids}
    back = [item for (other, _), item in wanted.items() if other == kind and item is not None]
    return kept | {item.spec.name: item for item in back}


def _name_clashes(current: DesiredState, wanted: Mapping[tuple[str, UUID], Item | None]) -> list[Refusal]:
    """Names that something has which stays."""
    found = []
    for (kind, object_id), item in wanted.items():
        holder = named(current, kind).get(item.spec.name) if item else None
        if item and holder and holder.id != object_id and (kind, holder.id) not in wanted:
            remedy = f"rename or remove that {kind} first"
            found.append(Refusal(f"{kind}s.{item.spec.name}", "another object has this name now", remedy))
    return found
