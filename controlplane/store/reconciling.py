"""What the reconciler asks of the store: gateways, secrets, and the inventory of what was written."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast
from urllib.parse import unquote, urlsplit
from uuid import UUID

from controlplane.core.abilities import OURS, Abilities
from controlplane.core.contexts import CounterStore
from controlplane.core.desired import DesiredState
from controlplane.core.diff import FieldChange
from controlplane.core.gateways import Drift, Gateway, GatewayKind, GatewaySpec
from controlplane.core.objects import Kind as ObjectKind
from controlplane.core.objects import ObjectKey
from controlplane.core.platform import NO_PLATFORM, Platform
from controlplane.core.secrets import MASK, SecretRef
from controlplane.core.selection import Site
from controlplane.core.uses import USES
from controlplane.core.validation import VALIDATION
from controlplane.errors import CannotUnseal
from controlplane.store import documents, drift, rows
from controlplane.store.database import Database
from controlplane.store.desired import DesiredReader
from controlplane.store.documents import Secrets
from controlplane.store.drift import Orders, StandingDrift
from controlplane.store.key_uses import note_uses
from controlplane.store.records import GatewayStatus, Kind, Spec
from controlplane.store.rows import Row
from controlplane.store.seal import Sealer
from controlplane.store.standing import gateway_status

_UNSTORED = -1
"""The version of what is not declared yet."""
_REDIS_PASSWORD = "redis_password"  # noqa: S105 - the name of a field


@dataclass(frozen=True, slots=True)
class GatewayRecord:
    """A gateway as it is declared, with its Admin API key as plain text: for the reconciler alone."""

    id: UUID
    name: str
    admin_url: str
    admin_key: str
    counters: CounterStore
    version: int
    drift: Drift = Drift.HEAL
    trouble: str | None = None
    """Why it cannot be used as it is declared."""
    abilities: Abilities = OURS
    """What it can do, as far as it has been asked; before that, everything."""
    platform: Platform = NO_PLATFORM
    labels: Mapping[str, str] = field(default_factory=dict)
    """What queues select it by."""
    kind: GatewayKind = GatewayKind.APISIX
    plugins: Sequence[str] = ()
    """What it is declared to have beyond a stock APISIX."""
    file: str | None = None
    """The name of its file, where that is what is written."""
    last_used: bool = False
    """Whether it is to tell when keys were used."""

    @property
    def site(self) -> Site:
        return Site(self.labels, self.abilities, self.name)

    @property
    def address(self) -> tuple[GatewayKind, str, str | None]:
        """What tells it from any other gateway, whatever it is called."""
        return self.kind, self.admin_url, self.file

    def __repr__(self) -> str:
        return f"GatewayRecord({self.name})"


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """What became of one object in a pass. Without a hash and an error it is gone."""

    key: ObjectKey
    declared_by: str
    hash: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class PassReport:
    """How a gateway stands after a pass; None keeps what is on record."""

    gateway: UUID
    finished_at: datetime
    leader: str
    writes: int = 0
    state: str | None = None
    revision: int | None = None
    error: str | None = None


class ReconcilingStore:
    """Raises StoreUnavailable where Postgres is gone."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._reader = DesiredReader(database)

    async def desired(self) -> DesiredState:
        """Everything declared, as of the newest revision; cheap when little has changed."""
        return await self._reader.read()

    def foresee(self, state: DesiredState, revision: int) -> None:
        """What will be declared once this revision is committed, so that it need not be read back."""
        self._reader.foresee(state, revision)

    async def gateways(self) -> Sequence[GatewayRecord]:
        """Every enabled gateway; one that cannot be used says why, and is no harm to the others."""
        async with self._database.connection() as connection:
            found = await rows.fetch(connection, Kind.GATEWAY, "true")
            plugins = dict(
                await connection.fetch(
                    "SELECT gateway_id, plugins FROM gateway_state WHERE plugins IS NOT NULL"
                )
            )
        specs = ((row, documents.bare_spec_of(Kind.GATEWAY, row.document, row.id)) for row in found)
        records = [self._record(row, spec) for row, spec in specs if cast(GatewaySpec, spec).enabled]
        return [
            replace(record, abilities=Abilities.of(plugins[record.id])) if record.id in plugins else record
            for record in records
        ]

    async def declared_gateways(self) -> Mapping[str, Gateway]:
        """Every gateway as it is declared, by name; those that are switched off as well."""
        async with self._database.connection() as connection:
            found = await rows.fetch(connection, Kind.GATEWAY, "true")
        return {row.name: _gateway(row) for row in found}

    def as_declared(
        self, gateway: Gateway, texts: GatewaySpec | None, now: GatewayRecord | None
    ) -> GatewayRecord:
        """A gateway as it would be used if it were declared so; without its Admin API's key.

        `texts` has the secrets that come with the declaration; what it leaves out stays as it is now.
        """
        spec, url = gateway.spec, texts.redis_url if texts else None
        counters = now.counters if now else CounterStore()
        if url is not None and url.get_secret_value() != MASK:
            counters = self._counters(gateway.id, url.get_secret_value())
        row = (gateway.id, spec.name, spec.admin_url or "", "", counters, _UNSTORED)
        record = _filled(GatewayRecord(*row), spec)
        return replace(record, abilities=now.abilities) if now else record

    def _record(self, row: Row, spec: Spec) -> GatewayRecord:
        declared = cast(GatewaySpec, spec)
        url = declared.admin_url or ""
        try:
            texts = self._texts(Kind.GATEWAY, row.id, row.secrets)
            counters = self._counters(row.id, texts.get("redis_url"))
        except (CannotUnseal, ValueError) as error:
            trouble = str(error)
            return GatewayRecord(
                *(row.id, row.name, url, "", CounterStore(), row.version),
                trouble=trouble,
                labels=declared.labels,
            )
        admin_key = texts.get("admin_key", "")
        return _filled(GatewayRecord(row.id, row.name, url, admin_key, counters, row.version), declared)

    async def unseal(self, names: Iterable[str]) -> Mapping[str, str]:
        """The texts of secrets, by the names of their handles; one that cannot be read is left out."""
        wanted: dict[Kind, set[UUID]] = {}
        texts: dict[str, str] = {}
        for name in names:
            kind, object_id, what = name.split("/")
            if what == VALIDATION:
                texts[name] = self._sealer.validation_token(UUID(object_id))
                continue
            if what == USES:
                texts[name] = self._sealer.uses_token(UUID(object_id))
                continue
            wanted.setdefault(Kind(kind), set()).add(UUID(object_id))
        async with self._database.connection() as connection:
            for kind, ids in wanted.items():
                found = await connection.fetch(
                    f'SELECT id, secrets FROM "{kind}" WHERE id = ANY($1)', list(ids)
                )
                for record in found:
                    opened = self._readable(kind, record["id"], record["secrets"])
                    texts |= {documents.secret_place(kind, record["id"], f): t for f, t in opened.items()}
        return {name: texts[name] for name in names if name in texts}

    def _readable(self, kind: Kind, object_id: UUID, secrets: Secrets) -> dict[str, str]:
        try:
            opened = self._texts(kind, object_id, secrets)
        except CannotUnseal:
            return {}
        if redis_url := opened.get("redis_url"):
            opened[_REDIS_PASSWORD] = unquote(urlsplit(redis_url).password or "")
        return opened

    async def applied(self, gateway: UUID) -> Mapping[ObjectKey, str]:
        """The hash of what was last written of each object."""
        async with self._database.connection() as connection:
            found = await connection.fetch(
                "SELECT kind, object_id, hash FROM inventory WHERE gateway_id = $1 AND hash IS NOT NULL",
                gateway,
            )
        return {
            ObjectKey(ObjectKind(record["kind"]), record["object_id"]): record["hash"] for record in found
        }

    async def orders(self, gateway: UUID) -> Orders:
        """What people want of the gateway's next pass."""
        async with self._database.connection() as connection:
            return await drift.orders_of(connection, gateway)

    async def carried_out(self, gateway: UUID, orders: Orders, taken: Sequence[ObjectKey]) -> None:
        """The orders are done: drift is undone, and these objects are taken over."""
        async with self._database.transaction() as connection:
            if orders.heal_asked_at is not None:
                await drift.healed(connection, gateway, orders.heal_asked_at)
            if taken:
                await drift.adoption_ends(connection, gateway, taken)

    async def record_look(
        self,
        gateway: UUID,
        looked_at: datetime,
        standing: Mapping[ObjectKey, tuple[FieldChange, ...]],
        found: int,
    ) -> None:
        """Keep the drift that a look at the whole gateway found and left, and how much of it is new."""
        async with self._database.transaction() as connection:
            await drift.record_look(connection, gateway, looked_at, standing, found=found)

    async def record_same_look(self, gateway: UUID, looked_at: datetime) -> None:
        """The whole gateway was looked at, and is as it was at the look before."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE gateway_state SET looked_at = $2 WHERE gateway_id = $1", gateway, looked_at
            )

    async def note_uses(self, uses: Mapping[UUID, datetime]) -> None:
        """Keep when keys were last used."""
        async with self._database.connection() as connection:
            await note_uses(connection, uses)

    async def standing_drift(self, gateway: UUID) -> Sequence[StandingDrift]:
        """The drift of a gateway as it was last seen."""
        async with self._database.connection() as connection:
            return await drift.standing_drift(connection, gateway)

    async def status(self, gateway: UUID) -> GatewayStatus:
        """How a gateway stands."""
        async with self._database.connection() as connection:
            return await gateway_status(connection, gateway)

    async def record(self, report: PassReport, results: Sequence[ObjectResult]) -> None:
        """Keep what became of the objects, and how the gateway stands: one transaction."""
        gone = [result for result in results if result.hash is None and result.error is None]
        kept = list(
            {
                result.key: result
                for result in results
                if result.hash is not None or result.error is not None
            }.values()
        )
        async with self._database.transaction() as connection:
            if gone:
                kinds, ids = [each.key.kind.value for each in gone], [each.key.id for each in gone]
                await connection.execute(_DELETE_OBJECTS, report.gateway, kinds, ids)
            if kept:
                columns = map(list, zip(*map(_object_row, kept), strict=True))
                await connection.execute(_UPSERT_OBJECTS, report.gateway, report.finished_at, *columns)
            await connection.execute(
                _UPSERT_STATE,
                *(report.gateway, report.state, report.finished_at, report.revision, report.writes),
                *(report.error, report.leader),
            )

    async def record_plugins(self, gateway: UUID, plugins: Collection[str]) -> None:
        """Keep what the gateway can do: declarations are checked against it."""
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO gateway_state (gateway_id, state, writes, applied_revision, leader, plugins) "
                "VALUES ($1, 'pending', 0, 0, '', $2) "
                "ON CONFLICT (gateway_id) DO UPDATE SET plugins = excluded.plugins",
                *(gateway, sorted(plugins)),
            )

    def _texts(self, kind: Kind, object_id: UUID, secrets: Secrets) -> dict[str, str]:
        return {
            field: self._sealer.unseal(secret["sealed"], documents.secret_place(kind, object_id, field))
            for field, secret in secrets.items()
            if "sealed" in secret
        }

    def _counters(self, gateway: UUID, redis_url: str | None) -> CounterStore:
        if redis_url is None:
            return CounterStore()
        parts = urlsplit(redis_url)
        name = documents.secret_place(Kind.GATEWAY, gateway, _REDIS_PASSWORD)
        password = unquote(parts.password) if parts.password else None
        return CounterStore(
            host=parts.hostname,
            port=parts.port or 6379,
            database=int(parts.path.strip("/") or 0),
            username=unquote(parts.username) if parts.username else None,
            password=SecretRef(name, self._sealer.fingerprint(password)) if password else None,
            tls=parts.scheme == "rediss",
        )


def _filled(record: GatewayRecord, spec: GatewaySpec) -> GatewayRecord:
    """The record with everything of the declaration that is neither an address nor a secret."""
    return replace(
        record,
        drift=spec.drift,
        platform=spec.platform,
        labels=spec.labels,
        kind=spec.kind,
        plugins=spec.plugins,
        file=spec.file,
        last_used=spec.last_used,
    )


def _gateway(row: Row) -> Gateway:
    spec = cast(GatewaySpec, documents.bare_spec_of(Kind.GATEWAY, row.document, row.id))
    held = [documents.handle(Kind.GATEWAY, row.id, name, row.secrets) for name in Kind.GATEWAY.secret_fields]
    return Gateway(row.id, spec, held[0], held[1], row.source)


_DELETE_OBJECTS = """
DELETE FROM inventory USING unnest($2::text[], $3::text[]) AS gone (kind, id)
WHERE gateway_id = $1 AND inventory.kind = gone.kind AND inventory.object_id = gone.id
"""

_UPSERT_OBJECTS = """
INSERT INTO inventory (gateway_id, kind, object_id, hash, declared_by, state, error, applied_at)
SELECT $1, kind, id, hash, declared_by, CASE WHEN error IS NULL THEN 'applied' ELSE 'failed' END, error,
    CASE WHEN error IS NULL THEN $2::timestamptz END
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS kept (kind, id, hash, declared_by, error)
ON CONFLICT (gateway_id, kind, object_id) DO UPDATE SET
    hash = coalesce(excluded.hash, inventory.hash), declared_by = excluded.declared_by,
    state = excluded.state, error = excluded.error,
    applied_at = coalesce(excluded.applied_at, inventory.applied_at),
    drift = CASE WHEN excluded.hash IS NULL THEN inventory.drift END
"""

_UPSERT_STATE = """
INSERT INTO gateway_state (gateway_id, state, last_pass, applied_revision, writes, error, leader)
VALUES ($1, coalesce($2, 'pending'), $3, coalesce($4::bigint, 0), $5, $6, $7)
ON CONFLICT (gateway_id) DO UPDATE SET
    state = coalesce($2, gateway_state.state),
    last_pass = excluded.last_pass,
    applied_revision = coalesce($4::bigint, gateway_state.applied_revision),
    writes = gateway_state.writes + excluded.writes,
    error = CASE WHEN $2::text IS NULL THEN gateway_state.error ELSE excluded.error END,
    leader = excluded.leader
"""


def _object_row(result: ObjectResult) -> tuple[str | None, ...]:
    key = result.key
    return key.kind.value, key.id, result.hash, result.declared_by, result.error or None
