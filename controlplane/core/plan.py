"""A plan is a value: the steps that bring a gateway from what it holds to what it should hold.

Parents come before what refers to them; everything that is removed is removed last, in reverse.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from controlplane.core.diff import Digest, FieldChange, LiveObject, differences
from controlplane.core.objects import GatewayObject, ObjectKey


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Reason(StrEnum):
    """Why a step is there."""

    DECLARED = "declared"
    CHANGED = "changed"
    DRIFTED = "edited or removed on the gateway"
    WITHDRAWN = "no longer declared"


@dataclass(frozen=True, slots=True)
class Step:
    """One write."""

    action: Action
    key: ObjectKey
    reason: Reason
    wanted: GatewayObject | None = None
    """The object to write; None for a delete."""
    changes: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreign:
    """An object of ours cannot be written, because its id is taken by something without our label."""

    key: ObjectKey
    declared_by: str

    def __str__(self) -> str:
        return (
            f"{self.key} exists on the gateway without our label, so it is left alone; "
            f"{self.declared_by} needs that id: `ctl adopt` shows the other object and takes it over"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in order."""

    steps: tuple[Step, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    unchanged: int = 0

    def __bool__(self) -> bool:
        return bool(self.steps)


def plan_against_live(
    wanted: Iterable[GatewayObject],
    live: Mapping[ObjectKey, LiveObject],
    applied: Mapping[ObjectKey, str],
    *,
    owner: str,
    digest: Digest,
    adopted: Collection[ObjectKey] = (),
) -> Plan:
    """Compare with what the gateway holds. `applied` has the hash of what was last written of each object.

    What is `adopted` is overwritten although it is not ours yet.
    """
    steps: list[Step] = []
    foreign: list[Foreign] = []
    unchanged = 0
    keys: set[ObjectKey] = set()
    for item in wanted:
        keys.add(item.key)
        found = live.get(item.key)
        as_before = applied.get(item.key) == item.hash
        if found is None:
            reason = Reason.DRIFTED if as_before else Reason.DECLARED
            steps.append(Step(Action.CREATE, item.key, reason, item))
        elif found.owner != owner and item.key not in adopted:
            foreign.append(Foreign(item.key, item.declared_by))
        elif changes := differences(item.body, found.body, digest):
            reason = Reason.DRIFTED if as_before else Reason.CHANGED
            steps.append(Step(Action.UPDATE, item.key, reason, item, changes))
        else:
            unchanged += 1
    ours = (key for key, found in live.items() if found.owner == owner and key not in keys)
    steps += [Step(Action.DELETE, key, Reason.WITHDRAWN) for key in ours]
    return Plan(ordered(steps), tuple(foreign), unchanged)


def plan_against_applied(wanted: Iterable[GatewayObject], applied: Mapping[ObjectKey, str]) -> Plan:
    """Compare with what was last written, without asking the gateway.

    What the gateway holds under these ids is not known yet: see `leave_foreign`.
    """
    steps: list[Step] = []
    unchanged = 0
    keys: set[ObjectKey] = set()
    for item in wanted:
        keys.add(item.key)
        if item.key not in applied:
            steps.append(Step(Action.CREATE, item.key, Reason.DECLARED, item))
        elif applied[item.key] != item.hash:
            steps.append(Step(Action.UPDATE, item.key, Reason.CHANGED, item))
        else:
            unchanged += 1
    steps += [Step(Action.DELETE, key, Reason.WITHDRAWN) for key in applied if key not in keys]
    return Plan(ordered(steps), (), unchanged)


def leave_foreign(
    plan: Plan, live: Mapping[ObjectKey, LiveObject], *, owner: str, adopted: Collection[ObjectKey] = ()
) -> Plan:
    """The plan without the steps that would touch what is not ours."""
    theirs = {key for key, found in live.items() if found.owner != owner and key not in adopted}
    foreign = [
        Foreign(step.key, step.wanted.declared_by)
        for step in plan.steps
        if step.key in theirs and step.wanted
    ]
    steps = tuple(step for step in plan.steps if step.key not in theirs)
    return Plan(steps, plan.foreign + tuple(foreign), plan.unchanged)


def without_drift(plan: Plan, applied: Mapping[ObjectKey, str]) -> tuple[Plan, tuple[Step, ...]]:
    """The plan without what would undo an edit by hand, and those steps apart."""
    drift = tuple(
        step
        for step in plan.steps
        if step.reason is Reason.DRIFTED or (step.action is Action.DELETE and step.key not in applied)
    )
    apart = {step.key for step in drift}
    return replace(plan, steps=tuple(step for step in plan.steps if step.key not in apart)), drift


def ordered(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Writes with parents first, then deletes with parents last."""

    def place(step: Step) -> tuple[int, int, str]:
        rank = step.key.kind.rank
        return (1, -rank, step.key.id) if step.action is Action.DELETE else (0, rank, step.key.id)

    return tuple(sorted(steps, key=place))
