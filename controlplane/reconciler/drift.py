"""What one gateway's looks find of edits by hand, from one look to the next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from controlplane.core.diff import ABSENT, FieldChange
from controlplane.core.objects import ObjectKey
from controlplane.core.plan import Action, Plan, Step, without_drift
from controlplane.core.verdicts import REMOVED_BY_HAND, by_hand
from controlplane.store.drift import StandingDrift

PUT_THERE = FieldChange("", ABSENT, "put there by hand, with our label")

log = structlog.get_logger(__name__)


@dataclass
class DriftWatch:
    """Remembers drift, so that what stands is counted once and told in the gateway's state."""

    standing: dict[ObjectKey, tuple[FieldChange, ...]] = field(default_factory=dict)
    """What is left as somebody made it."""
    known: Mapping[ObjectKey, tuple[FieldChange, ...]] = field(default_factory=dict)
    """What the last look found, healed or not."""

    @classmethod
    def recalled(cls, found: Sequence[StandingDrift]) -> "DriftWatch":
        standing = {item.key: item.changes for item in found}
        return cls(standing, dict(standing))

    def seen(self, plan: Plan, applied: Mapping[ObjectKey, str], *, heal: bool) -> tuple[Plan, int]:
        """The plan of a look as it is to be carried out, and how many edits it found that are new."""
        rest, steps = without_drift(plan, applied)
        found = {step.key: _told(step) for step in steps}
        new = [key for key, changes in found.items() if self.known.get(key) != changes]
        for key in new:
            fields = [change.path for change in found[key]]
            log.warning("drift_found", object=str(key), fields=fields, healed=heal)
        self.known = found
        self.standing = {} if heal else dict(found)
        return (plan if heal else rest), len(new)

    def written(self, keys: Iterable[ObjectKey]) -> None:
        """What is written is as it should be again."""
        for key in keys:
            self.standing.pop(key, None)

    def __str__(self) -> str:
        first = min(self.standing)
        more = f" and {len(self.standing) - 1} more" if len(self.standing) > 1 else ""
        return f"edited by hand: {first}{more}; `ctl drift` shows what, and --heal undoes it"


def _told(step: Step) -> tuple[FieldChange, ...]:
    if step.action is Action.CREATE:
        return (REMOVED_BY_HAND,)
    return (PUT_THERE,) if step.action is Action.DELETE else by_hand(step.changes)
