"""The audit: rows that are only ever added, each chained to the one before it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from controlplane.core.access import Reach
from controlplane.core.audit import AuditRow, Check, Finding, Head, content
from controlplane.errors import StoreUnavailable
from controlplane.store.database import Connection, Database, insert
from controlplane.store.records import Author
from controlplane.store.seal import Sealer

Document = Mapping[str, Any]  # Any: JSON

_COLUMNS = (
    "id, at, author, address, request_id, action, kind, object_id::text, name, tenant_id::text, before, "
    "after, revision_id AS revision, previous, digest"
)

# The moment is read when the head is ours, and not while another transaction still has it.
_TAKE_HEAD = """
    WITH head AS MATERIALIZED (SELECT digest FROM audit_head FOR UPDATE)
    SELECT digest, clock_timestamp() AS at FROM head"""

# As the migration that began the chain computed it.
_EARLIER = """
    SELECT encode(sha256(convert_to(coalesce(string_agg(encode(sha256(convert_to(jsonb_build_array(
        id, extract(epoch FROM at), author, address, request_id, action, kind, object_id, name, tenant_id,
        before, after, revision_id)::text, 'UTF8')), 'hex'), ',' ORDER BY id), ''), 'UTF8')), 'hex')
        AS digest, count(*) AS rows
    FROM audit WHERE digest IS NULL
    AND id < coalesce((SELECT min(id) FROM audit WHERE digest IS NOT NULL), 9223372036854775807)"""

# Everything but the id, which the database counts.
_WRITTEN = (
    *("at", "author", "address", "request_id", "action", "kind", "object_id", "name", "tenant_id"),
    *("before", "after", "revision_id", "previous", "digest"),
)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was done; `before` and `after` have their secrets masked."""

    action: str
    kind: str
    object_id: UUID
    name: str
    before: Document | None = None
    after: Document | None = None
    revision: int | None = None
    tenant: UUID | None = None


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Rows of the audit, the newest first: filters are joined by `and`."""

    limit: int = 50
    before: int | None = None
    """Only rows older than this one."""
    author: str | None = None
    action: str | None = None
    about: tuple[str, str] | None = None
    """Only what was done to this object: its kind and its name."""
    request_id: str | None = None
    revision: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What a look over the whole audit found; `head` is the last row, to be compared with later."""

    rows: int
    head: str
    findings: Sequence[Finding]


async def add_to_audit(
    connection: Connection, sealer: Sealer, author: Author, entries: Sequence[Entry]
) -> None:
    """Chain rows to the audit, as the last thing that a transaction does.

    Transactions take turns from here until they end, so whatever else they lock must be theirs already.
    """
    if not entries:
        return
    head = await connection.fetchrow(_TAKE_HEAD)
    if head is None:
        raise StoreUnavailable("the head of the audit is missing", remedy="see docs/audit.md")
    chain = _Chain(sealer, author, head["at"], head["digest"])
    await insert(connection, "audit", _WRITTEN, map(chain.add, entries))
    await connection.execute("UPDATE audit_head SET rows = rows + $1, digest = $2", len(entries), chain.last)


@dataclass
class _Chain:
    """Makes rows, each chained to the one before; `last` is the digest of the newest."""

    sealer: Sealer
    author: Author
    at: datetime
    last: str

    def add(self, entry: Entry) -> tuple[object, ...]:
        """The next row, as it is written."""
        row = _row(entry, self.author, self.at, self.last)
        self.last = self.sealer.audit_digest(content(row))
        return (
            *(row.at, row.author, row.address, row.request_id, row.action, row.kind, entry.object_id),
            *(row.name, entry.tenant, row.before, row.after, row.revision, row.previous, self.last),
        )


class Audit:
    """Reads the audit, as far as its reach goes, and checks the whole of it."""

    def __init__(self, database: Database, sealer: Sealer, reach: Reach | None = None) -> None:
        self._database = database
        self._sealer = sealer
        self._tenant = reach.tenant_id if reach else None

    async def page(self, query: AuditQuery) -> Sequence[AuditRow]:
        where, values = _conditions(query, self._tenant)
        statement = f"SELECT {_COLUMNS} FROM audit WHERE {where} ORDER BY id DESC LIMIT {query.limit}"
        async with self._database.connection() as connection:
            return [AuditRow(**record) for record in await connection.fetch(statement, *values)]

    async def all(self, query: AuditQuery) -> AsyncIterator[Sequence[AuditRow]]:
        """Every row, page by page; no connection is held while a page is being used."""
        query = replace(query, limit=_PAGE)
        while page := await self.page(query):
            yield page
            query = replace(query, before=page[-1].id)

    async def check(self, known: tuple[int, str] | None = None) -> AuditCheck:
        """Look over the whole audit. `known` is a row's id and digest, as they were noted elsewhere."""
        async with self._database.transaction("repeatable_read") as connection:
            earlier = await connection.fetchrow(_EARLIER)
            check = Check(self._sealer.audit_digest, self._sealer.key_id, earlier["digest"])
            last, seen_known = 0, known is None
            while rows := await _after(connection, last):
                last = rows[-1].id
                seen_known = seen_known or any((row.id, row.digest) == known for row in rows)
                await asyncio.to_thread(_look, check, rows)
            check.rows += earlier["rows"]
            head = await connection.fetchrow("SELECT rows, digest FROM audit_head")
            check.finish(Head(**head) if head else None)
        findings = list(check.findings)
        if known and not seen_known:
            findings.append(Finding(known[0], "is not there as it was noted"))
        return AuditCheck(check.rows, f"{last}:{check.last}", findings)


async def _after(connection: Connection, row: int) -> list[AuditRow]:
    """The next rows that belong to the chain, or should."""
    found = await connection.fetch(
        f"SELECT {_COLUMNS} FROM audit WHERE id > $1 AND (digest IS NOT NULL "
        "OR id > (SELECT min(id) FROM audit WHERE digest IS NOT NULL)) ORDER BY id LIMIT $2",
        *(row, _PAGE),
    )
    return [AuditRow(**record) for record in found]


def _look(check: Check, rows: Sequence[AuditRow]) -> None:
    for row in rows:
        check.look(row)


def _row(entry: Entry, author: Author, at: datetime, previous: str) -> AuditRow:
    return AuditRow(
        id=0,
        at=at,
        author=author.name,
        address=author.address,
        request_id=author.request_id,
        action=entry.action,
        kind=entry.kind,
        object_id=str(entry.object_id),
        name=entry.name,
        tenant_id=str(entry.tenant) if entry.tenant else None,
        before=entry.before,
        after=entry.after,
        revision=entry.revision,
        previous=previous,
        digest=None,
    )


def _conditions(query: AuditQuery, tenant: UUID | None) -> tuple[str, list[object]]:
    kind, name = query.about or (None, None)
    given = {
        "tenant_id =": tenant,
        "id <": query.before,
        "author =": query.author,
        "action =": query.action,
        "kind =": kind,
        "name =": name,
        "request_id =": query.request_id,
        "revision_id =": query.revision,
        "at >=": query.since,
        "at <": query.until,
    }
    wanted = {condition: value for condition, value in given.items() if value is not None}
    places = [f"{condition} ${number}" for number, condition in enumerate(wanted, 1)]
    return " AND ".join(["true", *places]), list(wanted.values())
