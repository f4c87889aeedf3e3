"""Back to an earlier revision: what was declared then, read from history, and all of it in one write.

Only what has changed since is touched. Objects keep their ids and their secrets, so that a key that comes
back opens what it opened, and counters go on where they stand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from controlplane.core.comparing import secret_differences
from controlplane.core.going_back import WayBack
from controlplane.core.problems import problems_of
from controlplane.errors import InvalidSpec, NotFound, PreconditionFailed, Problem
from controlplane.store import rows
from controlplane.store.database import Connection
from controlplane.store.desired import item_of
from controlplane.store.records import Applied, AppliedChange, Kind
from controlplane.store.rotating import last_secrets, rotated_since
from controlplane.store.rows import Row
from controlplane.store.writes import Change, changed_fields

_KINDS = (Kind.TIER, Kind.TENANT, Kind.PROVIDER, Kind.QUEUE, Kind.RULE, Kind.KEY)
_NO_TIME = datetime.fromtimestamp(0, UTC)

_FIRST_CHANGES = """
    SELECT DISTINCT ON (kind, object_id) kind, object_id, revision_id, before
    FROM revision_change WHERE revision_id > $1 AND kind <> 'gateway' ORDER BY kind, object_id, id"""

_RENAMES = """
    SELECT revision_id, kind, before->'spec'->>'name' AS old, after->'spec'->>'name' AS new
    FROM revision_change WHERE revision_id > $1 AND before->'spec'->>'name' <> after->'spec'->>'name'
    ORDER BY id DESC"""

_LINKS = {
    Kind.QUEUE: (
        "DELETE FROM declared_limit WHERE owner_id IN (SELECT id FROM member WHERE queue_id = ANY($1))",
        "DELETE FROM member WHERE queue_id = ANY($1)",
    ),
    Kind.KEY: (
        "DELETE FROM key_queue WHERE key_id = ANY($1)",
        "DELETE FROM key_provider WHERE key_id = ANY($1)",
        "DELETE FROM key_rule WHERE key_id = ANY($1)",
    ),
}
_UNIQUE = {Kind.TENANT: ", subdomain = NULL", Kind.KEY: ", lookup = id::text"}


@dataclass(frozen=True, slots=True)
class Step:
    """One object as it is and as it was."""

    kind: Kind
    id: UUID
    current: Row | None
    target: Row | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What has to change for an earlier revision to be what is declared."""

    newest: int
    """The revision that this starts from."""
    steps: Sequence[Step]

    def ways(self) -> Sequence[WayBack]:
        """The same for the pure part. Raises InvalidSpec for what this release no longer declares."""
        problems: list[Problem] = []
        found = []
        for step in self.steps:
            try:
                target = item_of(step.kind, step.target) if step.target else None
            except ValidationError as error:
                problems += _outdated(step, error)
                continue
            found.append(WayBack(str(step.kind), step.id, target))
        if problems:
            raise InvalidSpec("this release cannot declare what that revision has", problems=problems)
        return found


async def read_earlier(connection: Connection, number: int) -> Earlier:
    """What an earlier revision had that is different now. Raises NotFound."""
    newest = await connection.fetchval("SELECT coalesce(max(id), 0) FROM revision")
    if not await connection.fetchval("SELECT true FROM revision WHERE id = $1", number):
        raise NotFound(f"there is no revision {number}", remedy="`ctl history` lists them")
    renames = [dict(record) for record in await connection.fetch(_RENAMES, number)]
    found = await connection.fetch(_FIRST_CHANGES, number)
    steps = []
    for kind in _KINDS:
        first = {record["object_id"]: record for record in found if record["kind"] == kind}
        present = await rows.fetch(connection, kind, "o.id = ANY($1)", list(first))
        current = {row.id: row for row in present}
        last = {row.id: row.secrets for row in present}
        if kind is Kind.KEY:
            last |= await last_secrets(connection, [*first.keys() - last.keys()])
        for object_id, record in first.items():
            target = _target(kind, object_id, record, renames)
            # A text that was rotated away may have leaked, and applications send another one by now.
            if target and object_id in last and rotated_since(target.secrets, last[object_id]):
                target = replace(target, secrets=last[object_id])
            if not _same(current.get(object_id), target):
                steps.append(Step(kind, object_id, current.get(object_id), target))
    return Earlier(newest, steps)


async def roll_back(change: Change, number: int, base: int) -> Applied:
    """Make everything as it was at that revision. Raises PreconditionFailed when `base` is not the newest."""
    earlier = await read_earlier(change.connection, number)
    if earlier.newest != base:
        raise PreconditionFailed(
            f"the world has moved since the plan was made: revision {earlier.newest} follows {base}",
            remedy="plan again, and look at what is different",
        )
    steps = [step for step in earlier.steps if not _is_kept(step)]
    for kind in _KINDS:
        await _let_go(change.connection, kind, [step for step in steps if step.kind is kind])
    for step in steps:
        if step.target is not None:
            await change.put_back(step.kind, step.target, step.current)
    for step in reversed(steps):
        if step.target is None and step.current is not None:
            await change.remove(step.kind, step.current)
    changes = [_applied(step) for step in steps]
    return Applied(await change.revision() if changes else base, changes)


async def _let_go(connection: Connection, kind: Kind, steps: Sequence[Step]) -> None:
    """Free the names and references of what is about to be written anew or removed."""
    ids = [step.id for step in steps if step.current]
    for statement in _LINKS.get(kind, ()):
        await connection.execute(statement, ids)
    renamed = [
        step.id
        for step in steps
        if step.current and (step.target is None or step.target.name != step.current.name)
    ]
    await connection.execute(f'UPDATE "{kind}" SET name = id::text WHERE id = ANY($1)', renamed)
    if kind in _UNIQUE:
        await connection.execute(f'UPDATE "{kind}" SET name = name{_UNIQUE[kind]} WHERE id = ANY($1)', ids)


def _is_kept(step: Step) -> bool:
    """What has come since and is protected stays."""
    return step.target is None and step.current is not None and bool(step.current.document.get("protect"))


def _target(kind: Kind, object_id: UUID, record: Any, renames: Sequence[Mapping[str, Any]]) -> Row | None:
    """The object as it was, calling others by the names that they had; `record` is its first change since."""
    side = record["before"]
    if side is None:
        return None
    document = dict(side["spec"])
    for rename in renames:
        if rename["revision_id"] < record["revision_id"]:
            document = _renamed(document, rename["kind"], rename["new"], rename["old"])
    return Row(object_id, document["name"], side["source"], document, side["secrets"], 0, _NO_TIME, _NO_TIME)


def _renamed(document: dict[str, Any], kind: str, was: str, name: str) -> dict[str, Any]:  # Any: JSON
    """The document with another name for what it refers to."""
    if kind == Kind.TENANT and document.get("tenant") == was:
        return {**document, "tenant": name}
    changed = dict(document)
    if f"{kind}s" in document and kind in (Kind.QUEUE, Kind.PROVIDER, Kind.RULE):
        changed[f"{kind}s"] = [name if item == was else item for item in document[f"{kind}s"]]
    if kind == Kind.PROVIDER and "members" in document:
        changed["members"] = [
            {**member, "provider": name} if member["provider"] == was else member
            for member in document["members"]
        ]
    return changed


def _same(current: Row | None, target: Row | None) -> bool:
    if current is None or target is None:
        return current is target
    return (
        current.document == target.document
        and current.source == target.source
        and not secret_differences(current.secrets, target.secrets)
    )


def _applied(step: Step) -> AppliedChange:
    row = step.target or step.current
    action = "delete" if step.target is None else "update" if step.current else "create"
    fields: Sequence[str] = ()
    if step.target and step.current:
        fields = changed_fields(step.current.document, step.target.document)
    return AppliedChange(step.kind, row.name if row else "", action, fields)


def _outdated(step: Step, error: ValidationError) -> list[Problem]:
    name = step.target.name if step.target else ""
    values = step.target.document if step.target else {}
    return [
        Problem(f"{step.kind.plural}.{name}.{item.field}", item.message, item.remedy)
        for item in problems_of(error, step.kind.model, values)
    ]
