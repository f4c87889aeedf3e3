"""Whose difference it is: what was last wished, what is wished now and what the gateway holds, compared."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from controlplane.core.diff import Digest, FieldChange, LiveObject, differences
from controlplane.core.objects import GatewayObject, ObjectKey
from controlplane.core.plan import Action

REMOVED_BY_HAND = FieldChange("", "there", "removed by hand")

Objects = Mapping[ObjectKey, GatewayObject]


class Verdict(StrEnum):
    """Who made an object differ."""

    YOURS = "you changed it"
    DRIFT = "drift"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class ObjectStep:
    """What is to become of one object of a gateway, and why."""

    action: Action
    key: ObjectKey
    declared_by: str
    verdict: Verdict
    changes: tuple[FieldChange, ...] = ()
    """What the write changes."""
    drift: tuple[FieldChange, ...] = ()
    """What somebody changed on the gateway: from what was last written to what is there."""
    hash: str | None = None
    """The hash of what is written; None for a delete."""


@dataclass(frozen=True, slots=True)
class Collision:
    """An id that we need is taken by an object without our label."""

    key: ObjectKey
    declared_by: str
    changes: tuple[FieldChange, ...] = ()
    """What taking it over would change."""

    def __str__(self) -> str:
        return f"{self.key}, which {self.declared_by} needs, is on the gateway without our label"


@dataclass(frozen=True, slots=True)
class GatewaySteps:
    """Everything that is to be done on one gateway, in order."""

    steps: tuple[ObjectStep, ...] = ()
    collisions: tuple[Collision, ...] = ()


@dataclass(frozen=True)
class ThreeWay:
    """The three sides of the comparison.

    `live` is None where the gateway was not looked at, and has the objects under `looked_at` otherwise.
    `applied` has the hash of what was last written of each object.
    """

    before: Objects
    after: Objects
    applied: Mapping[ObjectKey, str]
    owner: str
    digest: Digest
    live: Mapping[ObjectKey, LiveObject] | None = None
    adopted: Collection[ObjectKey] = field(default_factory=frozenset)

    def seen(self, live: Mapping[ObjectKey, LiveObject]) -> "ThreeWay":
        """The same comparison with what the gateway holds."""
        return replace(self, live=live)

    def touched(self) -> set[ObjectKey]:
        """The objects that are not on record as they should be."""
        wanted = {key for key, item in self.after.items() if self.applied.get(key) != item.hash}
        return wanted | {key for key in self.applied if key not in self.after}

    def judge(self, keys: Collection[ObjectKey]) -> GatewaySteps:
        """What is to be done with these objects, parents first and deletes last."""
        steps: list[ObjectStep] = []
        collisions: list[Collision] = []
        for key in keys:
            wanted = self.after.get(key)
            if wanted is None:
                steps.extend(self._withdrawn(key))
            elif self._is_foreign(key):
                body = (self.live or {})[key].body
                found = differences(wanted.body, body, self.digest)
                collisions.append(Collision(key, wanted.declared_by, found))
            else:
                steps.extend(self._wanted(key, wanted))
        return GatewaySteps(tuple(sorted(steps, key=_place)), tuple(sorted(collisions, key=lambda c: c.key)))

    def _is_foreign(self, key: ObjectKey) -> bool:
        found = (self.live or {}).get(key)
        return found is not None and found.owner != self.owner and key not in self.adopted

    def _withdrawn(self, key: ObjectKey) -> Iterator[ObjectStep]:
        found = (self.live or {}).get(key)
        if self.live is not None and (found is None or found.owner != self.owner):
            return  # gone already, or somebody else's by now
        prior = self.before.get(key)
        declared_by = prior.declared_by if prior else "nothing that is declared"
        verdict = Verdict.YOURS if key in self.applied or self.live is None else Verdict.DRIFT
        drift = self._by_hand(key, prior)
        yield ObjectStep(Action.DELETE, key, declared_by, Verdict.BOTH if drift else verdict, (), drift)

    def _wanted(self, key: ObjectKey, wanted: GatewayObject) -> Iterator[ObjectStep]:
        prior = self.before.get(key)
        ours = self.applied.get(key) != wanted.hash
        if self.live is None:
            if ours:
                known = key in self.applied
                changes = differences(wanted.body, prior.body, self.digest) if known and prior else ()
                action = Action.UPDATE if known else Action.CREATE
                yield ObjectStep(action, key, wanted.declared_by, Verdict.YOURS, changes, (), wanted.hash)
            return
        found = self.live.get(key)
        drift = self._by_hand(key, prior)
        verdict = Verdict.YOURS if not drift else Verdict.BOTH if ours else Verdict.DRIFT
        if found is None:
            yield ObjectStep(Action.CREATE, key, wanted.declared_by, verdict, (), drift, wanted.hash)
        elif changes := differences(wanted.body, found.body, self.digest):
            verdict = Verdict.DRIFT if not ours else verdict
            yield ObjectStep(Action.UPDATE, key, wanted.declared_by, verdict, changes, drift, wanted.hash)

    def _by_hand(self, key: ObjectKey, prior: GatewayObject | None) -> tuple[FieldChange, ...]:
        """What somebody changed since it was written; unknown where what was written is not known."""
        if self.live is None or prior is None or self.applied.get(key) != prior.hash:
            return ()
        found = self.live.get(key)
        if found is None:
            return (REMOVED_BY_HAND,)
        return by_hand(differences(prior.body, found.body, self.digest))


def recorded(
    key: ObjectKey, declared_by: str, drift: tuple[FieldChange, ...], written: str | None
) -> ObjectStep:
    """The step that undoes drift which was seen before; `written` is the hash of what was last written."""
    if written is None:
        return ObjectStep(Action.DELETE, key, declared_by, Verdict.DRIFT, (), drift)
    action = Action.CREATE if drift == (REMOVED_BY_HAND,) else Action.UPDATE
    back = by_hand(drift) if action is Action.UPDATE else ()
    return ObjectStep(action, key, declared_by, Verdict.DRIFT, back, drift, written)


def by_hand(changes: tuple[FieldChange, ...]) -> tuple[FieldChange, ...]:
    """The way back, told as what somebody did."""
    return tuple(FieldChange(change.path, change.after, change.before) for change in changes)


def _place(step: ObjectStep) -> tuple[int, int, str]:
    rank = step.key.kind.rank
    return (1, -rank, step.key.id) if step.action is Action.DELETE else (0, rank, step.key.id)
