"""A plan as JSON: `format_version` 1, the form that `ctl plan -o json` prints and `--out` keeps.

A later release may add fields; a field never changes its meaning within a format version.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

import orjson

from controlplane.api.views import Shown, record_view, status_view
from controlplane.core.declaring import DeclaredChange
from controlplane.core.diff import FieldChange
from controlplane.core.effects import warnings
from controlplane.core.enforcement import Enforcement
from controlplane.core.fresh_counters import resets
from controlplane.core.plan import Action, Reason
from controlplane.core.safety import Refusal
from controlplane.core.verdicts import Collision, ObjectStep, Verdict
from controlplane.reconciler.planned import GatewayPlan, Planned, Rejection

FORMAT_VERSION = 1
MOST_TOLD = 200
"""So many changes and limits are told in full where a plan is told in brief."""

_STAMPED = ("source", "revision", "options", "changes", "refusals", "document")
_STAMPED_OF_A_STEP = ("object", "verdict", "drift")


def plan_view(plan: Planned, document: str | None) -> Shown:
    """The plan; `document` is the digest of what was sent."""
    changes = [_change(change, warnings(change)) for change in plan.wanted.changes]
    view = _view(plan, document, changes, plan.enforcement)
    return {**view, "fingerprint": fingerprint(view)}


def brief_view(plan: Planned, document: str | None) -> Shown:
    """The plan for somebody who has agreed to it and sees it go by: it has no fingerprint.

    Of many changes only `MOST_TOLD` have their fields, those with warnings before others, and of many limits
    only so many are told.
    """
    noted = [(change, warnings(change)) for change in plan.wanted.changes]
    telling = sorted(range(len(noted)), key=lambda index: not noted[index][1])
    whole = set(telling[:MOST_TOLD])
    changes = [_change(*each, whole=index in whole) for index, each in enumerate(noted)]
    lines = tuple(islice(plan.enforcement, MOST_TOLD + 1))
    view = _view(plan, document, changes, lines[:MOST_TOLD])
    return {**view, "enforcement_goes_on": len(lines) > MOST_TOLD}


def _view(
    plan: Planned, document: str | None, changes: Sequence[Shown], lines: Iterable[Enforcement]
) -> Shown:
    return {
        "format_version": FORMAT_VERSION,
        "source": plan.source,
        "revision": plan.revision,
        "made_at": plan.made_at.isoformat(),
        "options": record_view(plan.options),
        "summary": _summary(plan),
        "changes": changes,
        "gateways": [_gateway(gateway) for gateway in plan.gateways],
        "enforcement": [record_view(line) for line in lines],
        "warnings": _warnings(plan),
        "refusals": [_refusal(refusal) for refusal in plan.refusals],
        "protected": list(plan.wanted.protected),
        "document": document,
    }


def fingerprint(view: Shown) -> str:
    """What tells two plans apart: where they start, what is declared, and what others did on the gateways.

    The steps of a gateway follow from these. They become fewer while an earlier write is still on its way,
    which makes it no other plan.
    """
    stamped = {name: view[name] for name in _STAMPED}
    stamped["gateways"] = [
        {
            "name": gateway["name"],
            "drift": [
                {name: step[name] for name in _STAMPED_OF_A_STEP}
                for step in gateway["steps"]
                if step["verdict"] != Verdict.YOURS
            ],
            "collisions": gateway["collisions"],
        }
        for gateway in view["gateways"]
    ]
    return hashlib.sha256(orjson.dumps(stamped, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _summary(plan: Planned) -> Shown:
    counts = Counter(change.action for change in plan.wanted.changes)
    steps = [step for gateway in plan.gateways for step in gateway.steps.steps]
    return {
        **{action.value: counts[action] for action in Action},
        "writes": len(steps),
        "drift": sum(step.verdict is not Verdict.YOURS for step in steps),
    }


def _change(change: DeclaredChange, notes: Sequence[str], *, whole: bool = True) -> Shown:
    return {
        "action": change.action.value,
        "kind": change.kind,
        "name": change.name,
        "fields": _fields(change.fields if whole else ()),
        "warnings": list(notes),
    }


def _fields(changes: Sequence[FieldChange]) -> list[Shown]:
    return [{"field": item.path, "before": item.before, "after": item.after} for item in changes]


def _gateway(gateway: GatewayPlan) -> Shown:
    status = status_view(gateway.status)
    return {
        "name": gateway.name,
        "state": status["state"],
        "revision": status["applied_revision"],
        "last_pass": status["last_pass"],
        "looked_at": status["looked_at"],
        "writes": status["writes"],
        "looked": gateway.looked,
        "trouble": gateway.trouble,
        "steps": [_step(step) for step in gateway.steps.steps],
        "collisions": [_collision(item) for item in gateway.steps.collisions],
        "rejections": [_rejection(item) for item in gateway.rejections],
        "unvalidated": gateway.unvalidated,
    }


def _step(step: ObjectStep) -> Shown:
    return {
        "action": step.action.value,
        "object": str(step.key),
        "kind": step.key.kind.value,
        "id": step.key.id,
        "declared_by": step.declared_by,
        "verdict": step.verdict.value,
        "reason": _reason(step),
        "fields": _fields(step.changes),
        "drift": _fields(step.drift),
        "warnings": list(resets(step.declared_by, step.changes)),
        "hash": step.hash,
    }


def _reason(step: ObjectStep) -> str:
    if step.verdict is Verdict.DRIFT:
        return Reason.DRIFTED.value
    if step.action is Action.DELETE:
        return Reason.WITHDRAWN.value
    return (Reason.DECLARED if step.action is Action.CREATE else Reason.CHANGED).value


def _collision(item: Collision) -> Shown:
    return {
        "object": str(item.key),
        "kind": item.key.kind.value,
        "id": item.key.id,
        "declared_by": item.declared_by,
        "fields": _fields(item.changes),
    }


def _rejection(item: Rejection) -> Shown:
    return {
        "object": str(item.key),
        "kind": item.key.kind.value,
        "id": item.key.id,
        "declared_by": item.declared_by,
        "reason": item.reason,
    }


def _refusal(refusal: Refusal) -> Shown:
    return {"about": refusal.about, "message": refusal.message, "remedy": refusal.remedy}


def _warnings(plan: Planned) -> list[str]:
    """What is about the plan as a whole."""
    found = []
    deletes = sum(change.action is Action.DELETE for change in plan.wanted.changes)
    if deletes:
        found.append(f"deletes {deletes} {'object' if deletes == 1 else 'objects'}")
    found += [f"{name} is protected, so the prune keeps it" for name in plan.wanted.protected]
    found += [
        f"queue {name} selects no gateway: none has {labels}, so it is served nowhere"
        for name, labels in plan.served_nowhere.items()
    ]
    found += [f"{item.about}: {item.message}" for item in plan.beside]
    found += [f"{item.field}: {item.message}; {item.remedy}" for item in plan.undeclared_tiers]
    for gateway in plan.gateways:
        gone = sum(step.action is Action.DELETE for step in gateway.steps.steps)
        if gone:
            found.append(f"deletes {gone} {'object' if gone == 1 else 'objects'} on gateway {gateway.name}")
        if gateway.trouble:
            found.append(f"gateway {gateway.name} could not be looked at: {gateway.trouble}")
        if gateway.unvalidated:
            found.append(f"gateway {gateway.name} was not asked what it would take: {gateway.unvalidated}")
    return found
