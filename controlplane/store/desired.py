"""The desired state, kept in memory and brought up to date by what changed since."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar, cast
from uuid import UUID

from controlplane.core.desired import DesiredState, Key, Provider, Queue, Rule, Tenant, Tier
from controlplane.core.rotation import OldText
from controlplane.core.rules import RuleSpec
from controlplane.core.secrets import SecretRef
from controlplane.core.spec import KeySpec, QueueSpec, TenantSpec, TierSpec
from controlplane.store import documents, rows
from controlplane.store.database import Connection, Database
from controlplane.store.records import Kind
from controlplane.store.rows import Row
from controlplane.store.writes import provider_of

Item = TypeVar("Item", Provider, Tenant, Queue, Rule, Key, Tier)

_MOST_CHANGES = 500
"""With more objects than this to read one by one, reading everything is quicker."""


class DesiredReader:
    """Reads the desired state; what has not changed is the same value as before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._state: DesiredState | None = None
        self._foreseen: tuple[int, DesiredState] | None = None
        self._one_at_a_time = asyncio.Lock()

    def foresee(self, state: DesiredState, revision: int) -> None:
        """Be told what a revision will bring, before it is committed; `state` names the one before it.

        Queues are believed, the rest is read: only the database has the texts of keys that were made up.
        """
        self._foreseen = revision, state

    async def read(self) -> DesiredState:
        """Everything declared, as of the newest revision. Raises StoreUnavailable."""
        async with self._one_at_a_time, self._database.transaction("repeatable_read") as connection:
            newest = await connection.fetchval("SELECT coalesce(max(id), 0) FROM revision")
            if self._state is None or newest < self._state.revision:
                self._state = await _everything(connection, newest)
            elif newest > self._state.revision:
                queues = self._foreseen_queues(self._state.revision, newest)
                self._state = await _updated(connection, self._state, newest, queues)
        return self._state

    def _foreseen_queues(self, before: int, newest: int) -> Mapping[str, Queue] | None:
        """The queues as of the newest revision, where it is the foreseen one and nothing lies between."""
        if self._foreseen is None or self._foreseen[0] > newest:
            return None
        (revision, state), self._foreseen = self._foreseen, None
        return state.queues if (state.revision, revision) == (before, newest) else None


async def _everything(connection: Connection, revision: int) -> DesiredState:
    return DesiredState(
        revision,
        {row.name: provider_of(row) for row in await rows.fetch(connection, Kind.PROVIDER, "true")},
        {row.name: _tenant(row) for row in await rows.fetch(connection, Kind.TENANT, "true")},
        {row.name: _queue(row) for row in await rows.fetch(connection, Kind.QUEUE, "true")},
        {row.name: _key(row) for row in await rows.fetch(connection, Kind.KEY, "true")},
        {row.name: _rule(row) for row in await rows.fetch(connection, Kind.RULE, "true")},
        {row.name: _tier(row) for row in await rows.fetch(connection, Kind.TIER, "true")},
    )


async def _updated(
    connection: Connection, state: DesiredState, newest: int, queues: Mapping[str, Queue] | None
) -> DesiredState:
    """What is declared now; `queues` has those that are known already."""
    found = await connection.fetch(
        "SELECT kind, object_id, bool_or(before->'spec'->>'name' <> after->'spec'->>'name') AS renamed "
        "FROM revision_change WHERE revision_id > $1 AND revision_id <= $2 AND kind <> ALL($3) "
        "GROUP BY kind, object_id",
        state.revision,
        newest,
        [] if queues is None else [Kind.QUEUE],
    )
    # Others name a renamed object in their own documents, so they changed as well.
    if len(found) > _MOST_CHANGES or any(record["renamed"] for record in found):
        return await _everything(connection, newest)
    changed = {kind: {record["object_id"] for record in found if record["kind"] == kind} for kind in Kind}

    async def fresh(kind: Kind) -> list[Row]:
        ids = changed[kind]
        return await rows.fetch(connection, kind, "o.id = ANY($1)", list(ids)) if ids else []

    return DesiredState(
        newest,
        _merged(
            state.providers, changed[Kind.PROVIDER], [provider_of(row) for row in await fresh(Kind.PROVIDER)]
        ),
        _merged(state.tenants, changed[Kind.TENANT], [_tenant(row) for row in await fresh(Kind.TENANT)]),
        queues
        if queues is not None
        else _merged(state.queues, changed[Kind.QUEUE], [_queue(row) for row in await fresh(Kind.QUEUE)]),
        _merged(state.keys, changed[Kind.KEY], [_key(row) for row in await fresh(Kind.KEY)]),
        _merged(state.rules, changed[Kind.RULE], [_rule(row) for row in await fresh(Kind.RULE)]),
        _merged(state.tiers, changed[Kind.TIER], [_tier(row) for row in await fresh(Kind.TIER)]),
    )


def _merged(before: "dict[str, Item] | object", changed: set[UUID], fresh: list[Item]) -> dict[str, Item]:
    items = cast("dict[str, Item]", before)
    if not changed:
        return items
    kept = {name: item for name, item in items.items() if item.id not in changed}
    return kept | {item.spec.name: item for item in fresh}


def item_of(kind: Kind, row: Row) -> Provider | Tenant | Queue | Rule | Key | Tier:
    """A row as the pure part sees it."""
    makers: dict[Kind, Callable[[Row], Provider | Tenant | Queue | Rule | Key | Tier]] = {
        Kind.TIER: _tier,
        Kind.PROVIDER: provider_of,
        Kind.TENANT: _tenant,
        Kind.QUEUE: _queue,
        Kind.RULE: _rule,
        Kind.KEY: _key,
    }
    return makers[kind](row)


def _tier(row: Row) -> Tier:
    spec = cast(TierSpec, documents.bare_spec_of(Kind.TIER, row.document, row.id))
    return Tier(row.id, spec, row.source)


def _tenant(row: Row) -> Tenant:
    spec = cast(TenantSpec, documents.bare_spec_of(Kind.TENANT, row.document, row.id))
    return Tenant(row.id, spec, row.source)


def _queue(row: Row) -> Queue:
    spec = cast(QueueSpec, documents.bare_spec_of(Kind.QUEUE, row.document, row.id))
    return Queue(row.id, spec, row.source)


def _rule(row: Row) -> Rule:
    spec = cast(RuleSpec, documents.bare_spec_of(Kind.RULE, row.document, row.id))
    secret = documents.handle(Kind.RULE, row.id, "api_key", row.secrets)
    return Rule(row.id, spec, secret, row.source)


def _key(row: Row) -> Key:
    spec = cast(KeySpec, documents.bare_spec_of(Kind.KEY, row.document, row.id))
    secret = documents.handle(Kind.KEY, row.id, "key", row.secrets)
    rotated = documents.ROTATIONS in row.secrets["key"]
    return Key(row.id, spec, cast(SecretRef, secret), row.source, _old_texts(row), rotated)


def _old_texts(row: Row) -> tuple[OldText, ...]:
    return tuple(
        OldText(
            SecretRef(documents.secret_place(Kind.KEY, row.id, name), secret["fingerprint"]),
            datetime.fromisoformat(secret[documents.ENDS_AT]),
            documents.ROTATIONS in secret,
        )
        for name, secret in sorted(documents.old_texts(row.secrets).items())
    )
