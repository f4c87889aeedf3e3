"""The one way in which anything declared is written.

A write is one transaction: the object's rows, a revision, what the revision changed, an audit row, and
the news of it. Writes take turns, so that revisions become visible in the order of their numbers.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg

from controlplane.core.access import Reach
from controlplane.core.apikeys import RandomSource, new_key
from controlplane.core.desired import Provider, derived_id
from controlplane.core.forwarding import rule_problems
from controlplane.core.gateways import GatewaySpec
from controlplane.core.rules import RuleSpec
from controlplane.core.secrets import MASK
from controlplane.core.selection import Site, unenforced
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec, TierSpec
from controlplane.errors import Conflict, InvalidSpec, PreconditionFailed, Problem
from controlplane.store import documents, rows
from controlplane.store.audit import Entry, add_to_audit
from controlplane.store.database import Connection, Database, insert
from controlplane.store.documents import Document, Secrets
from controlplane.store.gateways import abilities_of, known_sites
from controlplane.store.key_models import closed_keys
from controlplane.store.neighbours import among_neighbours, unenforced_by
from controlplane.store.reaching import no_host, within, writable
from controlplane.store.records import Author, Kind, Spec
from controlplane.store.references import dangling, names_for, referrers
from controlplane.store.rows import Kept, Row
from controlplane.store.seal import Sealer

CHANNEL = "sluice_revision"
_LOCK = 0x51C1CE01
_ANOTHER_S_OLD_TEXT = "SELECT true FROM key WHERE old_lookups @> ARRAY[$1] AND id <> $2 LIMIT 1"
_CHANGE_COLUMNS = ("revision_id", "kind", "object_id", "name", "before", "after", "tenant_id")
_TAKEN = {"lookup": "key", "subdomain": "subdomain"}


@dataclass
class Change:
    """An open transaction that is to become one revision."""

    connection: Connection
    author: Author
    sealer: Sealer
    random: RandomSource
    reach: Reach | None = None
    _revision: int | None = None
    _sites: Sequence[Site] | None = None
    _done: list[Entry] = field(default_factory=list)

    async def finish(self) -> None:
        """The last thing before the commit: what was done goes into the audit. Raises InvalidSpec."""
        queues = {entry.object_id for entry in self._done if entry.kind == Kind.QUEUE and entry.after}
        if queues and (problems := await closed_keys(self.connection, queues, self.reach)):
            raise InvalidSpec("keys would be closed by this", problems=problems)
        await add_to_audit(self.connection, self.sealer, self.author, self._done)

    async def revision(self) -> int:
        """The number of this write's revision, made when the first object changes."""
        if self._revision is None:
            self._revision = await self.connection.fetchval(
                "INSERT INTO revision (created_at, author, source, message) "
                "VALUES (now(), $1, $2, $3) RETURNING id",
                self.author.name,
                self.author.source,
                self.author.message,
            )
            await self.connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(self._revision))
        return cast(int, self._revision)

    async def put(self, kind: Kind, spec: Spec, before: Row | None, source: str) -> "Put":
        """Create an object, or replace the one that is there."""
        spec = writable(kind, self.reach, spec)
        if isinstance(spec, RuleSpec) and self.reach is not None:
            await self._has_its_own_host(spec, self.reach)
        object_id = before.id if before else await self._new_id(kind, spec)
        if before and isinstance(spec, TierSpec) and spec.name != before.name:
            await self._must_not_be_used(kind, before)
        if before and isinstance(spec, QueueSpec) and spec.id not in (None, before.id):
            problem = Problem("id", "the id of a queue never changes", f"leave it out, or write {before.id}")
            raise InvalidSpec("this queue has another id", problems=[problem])
        spec, made = self._with_key(spec, before)
        kept = before.secrets if before else {}
        secrets = documents.new_secrets(kind, spec, object_id, kept, self.sealer)
        await self._write(kind, object_id, spec, secrets, before, source)
        return Put(object_id, made)

    async def put_back(
        self, kind: Kind, target: Row, before: Row | None, *, action: str | None = None
    ) -> None:
        """Make an object as this row has it, with its id, its source and its secrets."""
        spec = documents.spec_of(kind, target.document, target.secrets, target.id)
        await self._write(kind, target.id, spec, target.secrets, before, target.source, action)

    async def _has_its_own_host(self, spec: RuleSpec, reach: Reach) -> None:
        """Raises InvalidSpec where a tenant's rule would answer for everybody's hosts."""
        statement = "SELECT subdomain FROM tenant WHERE id = $1"
        if await self.connection.fetchval(statement, reach.tenant_id) is None:
            raise InvalidSpec(f"rule {spec.name!r} cannot be accepted", problems=[no_host(reach)])

    async def _write(
        self,
        kind: Kind,
        object_id: UUID,
        spec: Spec,
        secrets: Secrets,
        before: Row | None,
        source: str,
        action: str | None = None,
    ) -> None:
        names = await within(self.connection, self.reach, spec, await names_for(self.connection, spec))
        problems = (*dangling(spec, names), *await self._unenforced(kind, spec, object_id))
        if problems:
            raise InvalidSpec(f"{kind} {spec.name!r} cannot be accepted", problems=problems)
        try:
            found = await self._lookup(spec, object_id, secrets)
            kept = Kept(object_id, spec.name, source, documents.as_kept(kind, spec), secrets)
            writing = rows.Writing(kept, spec, names, found)
            await rows.write(self.connection, kind, writing, revision=await self.revision())
        except asyncpg.UniqueViolationError as error:
            raise _taken(kind, spec.name, error) from None
        after = await rows.fetch_one(self.connection, kind, "o.id = $1", object_id)
        await self._record(action or ("update" if before else "create"), kind, object_id, before, after)

    async def remove(self, kind: Kind, before: Row) -> None:
        """Delete an object that nothing refers to."""
        await self._must_not_be_used(kind, before)
        await rows.remove(self.connection, kind, before.id)
        await self._record("delete", kind, before.id, before, None)

    async def _must_not_be_used(self, kind: Kind, before: Row) -> None:
        """Raises Conflict."""
        if users := await referrers(self.connection, kind, before.id):
            shown = ", ".join(users[:20]) + (f" and {len(users) - 20} more" if len(users) > 20 else "")
            raise Conflict(
                f"{kind} {before.name!r} is still used by {shown}",
                remedy=f"remove the {kind} from them first",
                problems=[Problem("", f"used by {user}") for user in users[:20]],
            )

    def _with_key(self, spec: Spec, before: Row | None) -> tuple[Spec, str | None]:
        """A key that was declared without its text gets one."""
        if not isinstance(spec, KeySpec) or before is not None:
            return spec, None
        if spec.key is not None and spec.key.get_secret_value() != MASK:
            return spec, None
        made = new_key(self.random)
        return KeySpec.model_validate({**spec.model_dump(), "key": made}), made

    async def _lookup(self, spec: Spec, object_id: UUID, secrets: Secrets) -> str | None:
        """What a key's text is found by. Raises Conflict where another key has, or had, the same text."""
        if not isinstance(spec, KeySpec):
            return None
        place = documents.secret_place(Kind.KEY, object_id, "key")
        found = self.sealer.lookup(self.sealer.unseal(secrets["key"]["sealed"], place))
        if await self.connection.fetchval(_ANOTHER_S_OLD_TEXT, found, object_id):
            raise _clash(Kind.KEY, spec.name, "key")
        return found

    async def _new_id(self, kind: Kind, spec: Spec) -> UUID:
        given = spec.id if isinstance(spec, QueueSpec) else None
        wanted = given or derived_id(kind, spec.name)
        taken = await self.connection.fetchval(f'SELECT name FROM "{kind}" WHERE id = $1', wanted)
        if taken is None:
            return wanted
        if given:
            whose = f"{kind} {taken!r}" if self.reach is None else f"another {kind}"
            raise Conflict(f"the id {given} belongs to {whose}", remedy="leave the id out")
        return uuid4()

    async def _unenforced(self, kind: Kind, spec: Spec, object_id: UUID) -> tuple[Problem, ...]:
        """What no gateway would enforce; the fields are named from the object's top."""
        state = await among_neighbours(self.connection, spec, object_id)
        if isinstance(spec, GatewaySpec):
            return unenforced_by(spec, state, await abilities_of(self.connection, object_id))
        top = f"{kind.plural}.{spec.name}."
        return tuple(
            Problem(item.field.removeprefix(top), item.message, item.remedy)
            for item in (
                *unenforced(state, state.queues, await self.gateways()),
                *rule_problems(state, new=[spec.name]),
            )
            if item.field.startswith(top) or not isinstance(spec, QueueSpec)
        )

    async def gateways(self) -> Sequence[Site]:
        """What every enabled gateway serves and can do."""
        if self._sites is None:
            self._sites = await known_sites(self.connection)
        return self._sites

    async def _record(
        self, action: str, kind: Kind, object_id: UUID, before: Row | None, after: Row | None
    ) -> None:
        tenant = await self._tenant_of(kind, object_id, after or before)
        await self.note(action, kind, [(before, after, tenant)])

    async def note(
        self, action: str, kind: Kind, changes: Sequence[tuple[Kept | None, Kept | None, UUID | None]]
    ) -> None:
        """Keep what was done to objects: before, after, and whose each is."""
        revision = await self.revision()
        made = []
        for before, after, tenant in changes:
            row = after or before
            assert row is not None  # noqa: S101 - one of the two is always there
            made.append((revision, str(kind), row.id, row.name, _kept(before), _kept(after), tenant))
            sides = (shown(before), shown(after))
            self._done.append(Entry(action, str(kind), row.id, row.name, *sides, revision, tenant))
        await insert(self.connection, "revision_change", _CHANGE_COLUMNS, made)

    async def _tenant_of(self, kind: Kind, object_id: UUID, row: Row | None) -> UUID | None:
        """Whose object it is."""
        if kind is Kind.TENANT:
            return object_id
        name = row.document.get("tenant") if row else None
        if name is None:
            return None
        found: UUID | None = await self.connection.fetchval("SELECT id FROM tenant WHERE name = $1", name)
        return found


@dataclass(frozen=True, slots=True)
class Put:
    """What a put leaves: the object's id, and a key's text when it was made just now."""

    id: UUID
    made_key: str | None = field(repr=False)


@asynccontextmanager
async def change(
    database: Database, author: Author, sealer: Sealer, random: RandomSource, reach: Reach | None = None
) -> AsyncIterator[Change]:
    """Open a write; leaving without an error commits it."""
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        write = Change(connection, author, sealer, random, reach)
        yield write
        await write.finish()


def require_version(kind: Kind, row: Row, wanted: int | None) -> None:
    """Raises PreconditionFailed when somebody else wrote the object in between."""
    if wanted is not None and wanted != row.version:
        raise PreconditionFailed(
            f"{kind} {row.name!r} has changed since you read it",
            remedy=f'read it again; its ETag is now "{row.version}"',
        )


def provider_of(row: Row) -> Provider:
    """A row as the pure part sees it."""
    spec = cast(ProviderSpec, documents.bare_spec_of(Kind.PROVIDER, row.document, row.id))
    secret = documents.handle(Kind.PROVIDER, row.id, "api_key", row.secrets)
    return Provider(row.id, spec, secret, row.source)


def shown(row: Kept | None) -> Document | None:
    """The row's document with its secrets masked."""
    return documents.masked(row.document, row.secrets) if row else None


def _kept(row: Kept | None) -> Document | None:
    return {"source": row.source, "spec": row.document, "secrets": row.secrets} if row else None


def name_taken(kind: Kind, name: str) -> Conflict:
    """Somebody else has an object of this name."""
    return _clash(kind, name, "name")


def _taken(kind: Kind, name: str, error: Any) -> Conflict:  # Any: asyncpg ships no types
    constraint = str(error.constraint_name or "")
    what = next((words for column, words in _TAKEN.items() if constraint.endswith(column)), "name")
    return _clash(kind, name, what)


def _clash(kind: Kind, name: str, what: str) -> Conflict:
    words = {"name": f"the name {name!r}", "key": "this key's text", "subdomain": "this subdomain"}[what]
    return Conflict(
        f"{words} is taken by another {kind}",
        remedy=f"choose another {what}, or change the {kind} that has it",
        problems=[Problem(what, "is taken")],
    )


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[str]:
    """The top fields in which two documents differ."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
