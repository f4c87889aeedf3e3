"""The store: everything declared, in Postgres."""

import base64
import binascii
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from random import SystemRandom
from typing import Any
from uuid import UUID

from controlplane.core.access import Reach
from controlplane.core.apikeys import RandomSource
from controlplane.core.desired import DesiredState, Queue
from controlplane.core.field_paths import NAME_PATTERN, visible
from controlplane.core.forwarding import Forwarding
from controlplane.core.objects import ObjectKey
from controlplane.core.selection import Site
from controlplane.core.spec import Document
from controlplane.errors import InvalidRequest, InvalidSettings, InvalidSpec, NotFound, Problem
from controlplane.settings import Settings
from controlplane.store import documents, drift, rows
from controlplane.store.accounts import Accounts
from controlplane.store.applying import apply_document
from controlplane.store.audit import Audit, Entry, add_to_audit
from controlplane.store.database import Connection, Database
from controlplane.store.exporting import export
from controlplane.store.gateways import known_sites
from controlplane.store.history import History
from controlplane.store.key_uses import last_uses, note_uses, note_uses_at
from controlplane.store.neighbours import among_neighbours, forwarding_in
from controlplane.store.reaching import found_by
from controlplane.store.records import (
    Applied,
    Author,
    GatewayStatus,
    HeldObject,
    Kind,
    ObjectStatus,
    Page,
    Query,
    Spec,
    Stored,
    Written,
)
from controlplane.store.rolling_back import Earlier, read_earlier, roll_back
from controlplane.store.rotating import rotate
from controlplane.store.rows import Row
from controlplane.store.seal import Sealer
from controlplane.store.standing import gateway_status, held_objects
from controlplane.store.writes import Change, change, require_version

# Any in the signatures below: the spec of whichever kind is asked for.


class Store:
    """Reads and writes what is declared. Its promises are those of `controlplane.store.api`."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        random: RandomSource | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.database = database
        self.sealer = sealer
        self._random = random or SystemRandom()
        self._reach = reach
        self.accounts = Accounts(database, sealer, self._random)
        self.history = History(database, reach)
        self.audit = Audit(database, sealer, reach)

    def within(self, reach: Reach) -> "Store":
        return Store(self.database, self.sealer, self._random, reach)

    def validation_token(self, rule: UUID) -> str:
        return self.sealer.validation_token(rule)

    def uses_token(self, gateway: UUID) -> str:
        return self.sealer.uses_token(gateway)

    async def note_uses(self, gateway: UUID | None, uses: Mapping[UUID, datetime]) -> None:
        async with self.database.connection() as connection:
            if gateway is None:
                await note_uses(connection, uses)
            else:
                await note_uses_at(connection, gateway, uses)

    async def forwarding(self, rule: UUID) -> Forwarding:
        async with self.database.connection() as connection:
            return await forwarding_in(connection, rule)

    async def ping(self) -> None:
        async with self.database.connection() as connection:
            await connection.fetchval("SELECT 1")

    async def page(self, kind: Kind, query: Query) -> Page[Any]:
        where, values = _filters(kind, query, self._reach)
        async with self.database.connection() as connection:
            found = await rows.fetch(
                connection, kind, where, *values, tail=f"ORDER BY o.name LIMIT {query.limit + 1}"
            )
            uses = await last_uses(connection, [row.id for row in found]) if kind is Kind.KEY else {}
        items = [_stored(kind, row, uses.get(row.id)) for row in found[: query.limit]]
        more = len(found) > query.limit
        return Page(items, _cursor(found[query.limit - 1].name) if more else None)

    async def get(self, kind: Kind, ref: str) -> Stored[Any]:
        async with self.database.connection() as connection:
            row = await self._find(connection, kind, ref)
            uses = await last_uses(connection, [row.id]) if kind is Kind.KEY else {}
            return _stored(kind, row, uses.get(row.id))

    async def create(self, kind: Kind, spec: Spec, author: Author) -> Written[Any]:
        async with self._change(author) as write:
            put = await write.put(kind, spec, None, author.source)
            return await self._written(write, kind, put.id, put.made_key)

    async def replace(
        self, kind: Kind, ref: str, spec: Spec, author: Author, if_version: int | None = None
    ) -> Written[Any]:
        async with self._change(author) as write:
            before = await self._find(write.connection, kind, ref, to_write=True)
            require_version(kind, before, if_version)
            put = await write.put(kind, spec, before, before.source)
            return await self._written(write, kind, put.id, None)

    async def patch(
        self,
        kind: Kind,
        ref: str,
        patch: Mapping[str, Any],
        author: Author,
        if_version: int | None = None,
    ) -> Written[Any]:
        async with self._change(author) as write:
            before = await self._find(write.connection, kind, ref, to_write=True)
            require_version(kind, before, if_version)
            removed = {name for name in kind.secret_fields if name in patch and patch[name] is None}
            kept = {name: secret for name, secret in before.secrets.items() if name not in removed}
            _forbid_keyless(kind, removed)
            merged = merge(documents.masked(before.document, kept), patch)
            spec = documents.validated(kind, merged)
            put = await write.put(kind, spec, replace(before, secrets=kept), before.source)
            return await self._written(write, kind, put.id, None)

    async def delete(self, kind: Kind, ref: str, author: Author, if_version: int | None = None) -> int:
        async with self._change(author) as write:
            before = await self._find(write.connection, kind, ref, to_write=True)
            require_version(kind, before, if_version)
            await write.remove(kind, before)
            return await write.revision()

    async def rotate(
        self, ref: str, overlap_s: int, author: Author, if_version: int | None = None
    ) -> Written[Any]:
        async with self._change(author) as write:
            before = await self._find(write.connection, Kind.KEY, ref, to_write=True)
            require_version(Kind.KEY, before, if_version)
            text = await rotate(write, before, overlap_s)
            return await self._written(write, Kind.KEY, before.id, text)

    async def apply(
        self,
        document: Document,
        author: Author,
        *,
        dry_run: bool = False,
        deletes: Sequence[tuple[Kind, str]] = (),
        base: int | None = None,
        numbered: Callable[[int], None] | None = None,
    ) -> Applied:
        return await apply_document(
            self._change(author), document, dry_run=dry_run, deletes=deletes, base=base, numbered=numbered
        )

    async def sites(self) -> Sequence[Site]:
        async with self.database.connection() as connection:
            return await known_sites(connection)

    async def around(self, queue: Queue) -> DesiredState:
        async with self.database.connection() as connection:
            return await among_neighbours(connection, queue.spec, queue.id)

    async def export(self, source: str | None) -> tuple[int, Sequence[Mapping[str, Any]]]:
        async with self.database.transaction("repeatable_read") as connection:
            newest = await connection.fetchval("SELECT coalesce(max(id), 0) FROM revision")
            return newest, await export(connection, self._reach, source)

    async def earlier(self, number: int) -> Earlier:
        async with self.database.transaction("repeatable_read") as connection:
            return await read_earlier(connection, number)

    async def roll_back(self, number: int, author: Author, *, base: int) -> Applied:
        async with self._change(author) as write:
            return await roll_back(write, number, base)

    async def gateway_status(self, gateway: UUID) -> GatewayStatus:
        async with self.database.connection() as connection:
            return await gateway_status(connection, gateway)

    async def heal(self, gateways: Sequence[str] | None) -> None:
        async with self.database.transaction() as connection:
            ids = None
            if gateways is not None:
                found = await connection.fetch("SELECT id FROM gateway WHERE name = ANY($1)", list(gateways))
                ids = [record["id"] for record in found]
            await drift.order_heal(connection, ids)

    async def adopt(self, gateway: str, keys: Collection[ObjectKey], author: Author) -> None:
        async with self.database.transaction() as connection:
            row = await self._find(connection, Kind.GATEWAY, gateway, to_write=True)
            await drift.adopt(connection, row.id, keys)
            taken = {"adopted": sorted(map(str, keys))}
            entry = Entry("adopt", Kind.GATEWAY, row.id, row.name, after=taken)
            await add_to_audit(connection, self.sealer, author, [entry])

    async def held_objects(
        self, gateway: UUID, after: tuple[str, str] | None, limit: int
    ) -> Sequence[HeldObject]:
        async with self.database.connection() as connection:
            tenant = self._reach.tenant_id if self._reach else None
            return await held_objects(connection, gateway, after, limit, tenant)

    async def object_status(self, declared_by: str) -> Sequence[ObjectStatus]:
        async with self.database.connection() as connection:
            found = await connection.fetch(
                "SELECT g.name AS gateway, i.kind, i.object_id AS id, i.declared_by, i.state, i.error, "
                "i.applied_at FROM inventory i JOIN gateway g ON g.id = i.gateway_id "
                "WHERE i.declared_by = $1 ORDER BY g.name, i.kind, i.object_id",
                declared_by,
            )
        return [ObjectStatus(**record) for record in found]

    async def reveal(self, kind: Kind, ref: str, author: Author) -> Mapping[str, str]:
        async with self.database.transaction() as connection:
            row = await self._find(connection, kind, ref, to_write=True)
            entry = Entry("reveal", str(kind), row.id, row.name)
            await add_to_audit(connection, self.sealer, author, [entry])
        texts = {}
        for name, secret in row.secrets.items():
            place = documents.secret_place(kind, row.id, name)
            texts[name] = secret.get("reference") or self.sealer.unseal(secret["sealed"], place)
        return texts

    async def _find(self, connection: Connection, kind: Kind, ref: str, *, to_write: bool = False) -> Row:
        """An object by its name, or by its UUID."""
        row = None
        where, values = found_by(kind, self._reach, to_write=to_write)
        place = f"${len(values) + 1}"
        if re.fullmatch(NAME_PATTERN, ref):
            row = await rows.fetch_one(connection, kind, f"{where} AND o.name = {place}", *values, ref)
        if row is None and (object_id := _uuid(ref)):
            row = await rows.fetch_one(connection, kind, f"{where} AND o.id = {place}", *values, object_id)
        if row is None:
            raise NotFound(f"there is no {kind} {visible(ref)!r}", remedy=f"see `ctl get {kind.plural}`")
        return row

    @asynccontextmanager
    async def _change(self, author: Author) -> AsyncIterator[Change]:
        async with change(self.database, author, self.sealer, self._random, self._reach) as write:
            yield write

    async def _written(self, write: Change, kind: Kind, object_id: UUID, made: str | None) -> Written[Any]:
        row = await rows.fetch_one(write.connection, kind, "o.id = $1", object_id)
        if row is None:
            raise NotFound(f"{kind} {object_id} has vanished")
        uses = await last_uses(write.connection, [object_id]) if kind is Kind.KEY else {}
        return Written(_stored(kind, row, uses.get(object_id)), await write.revision(), made)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The store of SLUICE_DATABASE_URL, with secrets sealed under SLUICE_MASTER_KEY."""
    if settings.database_url is None or settings.master_key is None:
        missing = "DATABASE_URL" if settings.database_url is None else "MASTER_KEY"
        raise InvalidSettings(f"SLUICE_{missing} is not set", remedy="`ctl up` sets it; see the README")
    sealer = Sealer.from_text(settings.master_key.get_secret_value())
    database = await Database.open(settings.database_url)
    try:
        yield Store(database, sealer)
    finally:
        await database.close()


def merge(value: Any, patch: Any) -> Any:  # Any: JSON
    """RFC 7396: null removes, objects are merged, everything else is replaced."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(value) if isinstance(value, Mapping) else {}
    for name, item in patch.items():
        if item is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), item)
    return merged


def _stored(kind: Kind, row: Row, last_used_at: datetime | None = None) -> Stored[Any]:
    spec = documents.spec_of(kind, row.document, row.secrets, row.id)
    stored = Stored(row.id, spec, row.source, row.version, row.created_at, row.updated_at)
    if kind is not Kind.KEY:
        return stored
    ends = (secret[documents.ENDS_AT] for secret in documents.old_texts(row.secrets).values())
    old_texts_until = sorted(map(datetime.fromisoformat, ends))
    return replace(stored, old_texts_until=old_texts_until, last_used_at=last_used_at)


def _filters(kind: Kind, query: Query, reach: Reach | None) -> tuple[str, list[object]]:
    where, values = found_by(kind, reach)
    wheres = [where]

    def add(condition: str, value: object) -> None:
        values.append(value)
        wheres.append(condition.format(f"${len(values)}"))

    if query.cursor is not None:
        add("o.name > {}", _position(query.cursor))
    if query.name_prefix:
        add("starts_with(o.name, {})", query.name_prefix)
    if query.source:
        add("o.source = {}", query.source)
    if query.tenant and kind in (Kind.QUEUE, Kind.KEY):
        add("o.tenant_id = (SELECT id FROM tenant WHERE name = {})", query.tenant)
    if query.type and kind is Kind.PROVIDER:
        add("o.spec->>'type' = {}", query.type)
    if query.label:
        name, equals, value = query.label.partition("=")
        add("o.labels ? {}", name)
        if equals:
            add(f"o.labels->>${len(values)} = {{}}", value)
    return " AND ".join(wheres), values


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _position(cursor: str) -> str:
    try:
        name = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        name = ""
    if not re.fullmatch(NAME_PATTERN, name):
        problem = Problem("cursor", "is none that a list has given", "take next_cursor as it is")
        raise InvalidRequest("the cursor cannot be used", problems=[problem])
    return name


def _forbid_keyless(kind: Kind, removed: set[str]) -> None:
    if kind is Kind.KEY and removed:
        problem = Problem("key", "a key cannot be without its text", "delete the key, or disable it")
        raise InvalidSpec("this key would open nothing", problems=[problem])


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
