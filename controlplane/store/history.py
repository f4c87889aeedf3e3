"""What was written before: revisions, what each of them changed, and what lies between two of them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from controlplane.core.access import Reach
from controlplane.core.comparing import document_differences, secret_differences
from controlplane.core.diff import FieldChange
from controlplane.core.sounding import without_what_sounds_secret
from controlplane.errors import NotFound
from controlplane.store.database import Connection, Database
from controlplane.store.documents import masked
from controlplane.store.records import FieldDifference, Kind, Revision, RevisionChange

Side = Mapping[str, Any]  # Any: a document as `revision_change` keeps it

_CHANGED = """
    SELECT count(*) FROM revision_change c
    WHERE c.revision_id = r.id AND ($1::uuid IS NULL OR c.tenant_id = $1)"""

_HEAD = f"SELECT r.id, r.created_at, r.author, r.source, r.message, ({_CHANGED}) AS objects FROM revision r"

# Also of one's own revisions it is not told that they changed something of somebody else.
_ABOUT = """
    r.id IN (SELECT c.revision_id FROM revision_change c
        WHERE c.kind = {} AND ($1::uuid IS NULL OR c.tenant_id = $1) AND c.object_id IN (
            SELECT n.object_id FROM revision_change n
            WHERE n.kind = {} AND n.name = {} AND ($1::uuid IS NULL OR n.tenant_id = $1)))"""

# What another tenant had, before the object changed hands, is nobody else's business.
_BEFORE = """
    CASE WHEN $1::uuid IS NULL OR kind = 'tenant' OR after IS NULL
         OR before->'spec'->>'tenant' IS NOT DISTINCT FROM after->'spec'->>'tenant'
    THEN before END AS before"""

# The first change after one revision has what was there then, the last up to another what is there then.
_BETWEEN = f"""
    SELECT f.kind, l.name, f.object_id, f.before, l.after
    FROM (SELECT DISTINCT ON (kind, object_id) kind, object_id, {_BEFORE} FROM revision_change
          WHERE revision_id > $2 AND revision_id <= $3 AND ($1::uuid IS NULL OR tenant_id = $1)
          ORDER BY kind, object_id, id) f
    JOIN (SELECT DISTINCT ON (kind, object_id) kind, object_id, name, after FROM revision_change
          WHERE revision_id > $2 AND revision_id <= $3 AND ($1::uuid IS NULL OR tenant_id = $1)
          ORDER BY kind, object_id, id DESC) l USING (kind, object_id)
    ORDER BY f.kind, l.name"""


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A page of the history, the newest first: filters are joined by `and`."""

    limit: int = 50
    before: int | None = None
    """Only revisions older than this one."""
    source: str | None = None
    author: str | None = None
    about: tuple[Kind, str] | None = None
    """Only what changed this object, also under names that it had before."""


class History:
    """Reads revisions, as far as its reach goes; secrets are masked."""

    def __init__(self, database: Database, reach: Reach | None = None) -> None:
        self._database = database
        self._tenant = reach.tenant_id if reach else None

    async def page(self, query: HistoryQuery) -> Sequence[Revision]:
        where, values = _conditions(query, self._tenant)
        statement = f"{_HEAD} WHERE {where} ORDER BY r.id DESC LIMIT {query.limit}"
        async with self._database.connection() as connection:
            return [Revision(**record) for record in await connection.fetch(statement, *values)]

    async def show(self, number: int) -> tuple[Revision, Sequence[RevisionChange]]:
        """One revision with what it changed. Raises NotFound."""
        async with self._database.connection() as connection:
            head = await self._head(connection, number)
            if self._tenant and not head.objects:
                raise _missing(number)
            found = await connection.fetch(
                f"SELECT kind, name, object_id, {_BEFORE}, after FROM revision_change "
                "WHERE revision_id = $2 AND ($1::uuid IS NULL OR tenant_id = $1) ORDER BY id",
                *(self._tenant, number),
            )
        return head, [_change(record, record["before"], record["after"]) for record in found]

    async def compare(self, older: int, newer: int | None) -> tuple[int, Sequence[RevisionChange]]:
        """What lies between two revisions, in whichever order; None is the newest. Raises NotFound."""
        async with self._database.transaction("repeatable_read") as connection:
            await self._head(connection, older)
            if newer is None:
                newer = int(await connection.fetchval("SELECT max(id) FROM revision"))
            await self._head(connection, newer)
            found = await connection.fetch(_BETWEEN, *(self._tenant, min(older, newer), max(older, newer)))
        # Thousands of objects may lie between two revisions, and others are waiting for the loop.
        return newer, await asyncio.to_thread(_changes, found, forwards=older <= newer)

    async def _head(self, connection: Connection, number: int) -> Revision:
        found = await connection.fetchrow(f"{_HEAD} WHERE r.id = $2", self._tenant, number)
        if found is None:
            raise _missing(number)
        return Revision(**found)


def _changes(found: Sequence[Any], *, forwards: bool) -> list[RevisionChange]:  # Any: rows
    """What is really different."""
    changes = []
    for record in found:
        sides = (record["before"], record["after"])
        change = _change(record, *(sides if forwards else reversed(sides)))
        if change.fields:
            changes.append(change)
    return changes


def _missing(number: int) -> NotFound:
    return NotFound(f"there is no revision {number}", remedy="`ctl history` lists them")


def _conditions(query: HistoryQuery, tenant: UUID | None) -> tuple[str, list[object]]:
    values: list[object] = [tenant]
    wheres = [
        "($1::uuid IS NULL OR EXISTS (SELECT FROM revision_change c WHERE c.revision_id = r.id "
        "AND c.tenant_id = $1))"
    ]

    def place(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    if query.before is not None:
        wheres.append(f"r.id < {place(query.before)}")
    if query.source is not None:
        wheres.append(f"r.source = {place(query.source)}")
    if query.author is not None:
        wheres.append(f"r.author = {place(query.author)}")
    if query.about is not None:
        kind = place(str(query.about[0]))
        wheres.append(_ABOUT.format(kind, kind, place(query.about[1])))
    return " AND ".join(wheres), values


def _change(record: Any, before: Side | None, after: Side | None) -> RevisionChange:  # Any: a row
    kind = Kind(record["kind"])
    action = "update" if before and after else "create" if after else "delete"
    fields = tuple(FieldDifference(item.path, item.before, item.after) for item in _fields(before, after))
    name = str((after or before or {"spec": record})["spec"]["name"])
    return RevisionChange(
        kind, name, record["object_id"], action, fields, before=_shown(before), after=_shown(after)
    )


def _fields(before: Side | None, after: Side | None) -> Iterator[FieldChange]:
    old, new = (_comparable(side, named=bool(before and after)) for side in (before, after))
    yield from document_differences(old, new)
    yield from secret_differences(*((side or {}).get("secrets", {}) for side in (before, after)))


def _comparable(side: Side | None, *, named: bool) -> Side | None:
    """The declaration with its source, and with its name where that may have changed."""
    if side is None:
        return None
    spec = side["spec"] if named else {name: value for name, value in side["spec"].items() if name != "name"}
    return {"source": side["source"], **spec}


def _shown(side: Side | None) -> Side | None:
    return without_what_sounds_secret(masked(side["spec"], side["secrets"])) if side else None
