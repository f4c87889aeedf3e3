"""The tables.

A column is what is looked up, joined or constrained; the rest of what was declared is in `spec`.
`version` is the revision of the last write, and so the object's ETag.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

Json = dict[str, Any]  # Any: declared values, checked by their models on the way in

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(SQLModel):
    """Every table of ours; constraints have fixed names, so that migrations can name them."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=_NAMING)


def _text(**options: Any) -> Any:  # Any: what SQLModel's Field takes and gives
    return Field(sa_type=Text, **options)


def _json() -> Any:  # Any: as above
    return Field(sa_type=JSONB)


def _moment(**options: Any) -> Any:  # Any: as above
    return Field(sa_type=DateTime(timezone=True), **options)


def _reference(column: str, *, cascade: bool = False, primary: bool = False) -> Any:  # Any: as above
    key = ForeignKey(column, ondelete="CASCADE" if cascade else "RESTRICT")
    return Field(sa_column_args=[key], primary_key=primary)


class DeclaredBase(Base):
    """What all declared objects have in common."""

    id: UUID = Field(primary_key=True)
    # Byte order, so that pages and prefixes mean the same on every database.
    name: str = Field(sa_type=Text(collation="C"), unique=True)
    source: str = _text()
    labels: Json = _json()
    spec: Json = _json()
    secrets: Json = _json()
    """By field: `{"sealed": …, "fingerprint": …}`, or `{"reference": …}` that the gateway resolves."""
    version: int = Field(sa_type=BigInteger)
    created_at: datetime = _moment()
    updated_at: datetime = _moment()


class Provider(DeclaredBase, table=True):
    """An account at an LLM provider."""

    tenant_id: UUID | None = Field(default=None, foreign_key="tenant.id", index=True)


class Tier(DeclaredBase, table=True):
    """What tenants of one kind may use."""


class Tenant(DeclaredBase, table=True):
    """A team or customer."""

    subdomain: str | None = _text(default=None, unique=True)


class Queue(DeclaredBase, table=True):
    """A pool of members."""

    tenant_id: UUID | None = Field(default=None, foreign_key="tenant.id", index=True)


class Member(Base, table=True):
    """One provider's model in a queue."""

    __table_args__ = (UniqueConstraint("queue_id", "name"),)

    id: UUID = Field(primary_key=True)
    queue_id: UUID = _reference("queue.id", cascade=True)
    provider_id: UUID = Field(foreign_key="provider.id", index=True)
    position: int
    name: str = _text()
    spec: Json = _json()


class DeclaredLimit(Base, table=True):
    """A limit of a tier, provider, tenant, queue, member, rule or key."""

    __tablename__ = "declared_limit"
    __table_args__ = (UniqueConstraint("owner_id", "position"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    owner_kind: str = _text()
    owner_id: UUID
    position: int
    meter: str = _text()
    spec: Json = _json()


class Rule(DeclaredBase, table=True):
    """Where calls of an HTTP API go."""

    tenant_id: UUID | None = Field(default=None, foreign_key="tenant.id", index=True)


class Key(DeclaredBase, table=True):
    """What an application sends to be let in: found by a keyed digest, kept sealed."""

    __table_args__ = (Index("ix_key_old_lookups", "old_lookups", postgresql_using="gin"),)

    tenant_id: UUID | None = Field(default=None, foreign_key="tenant.id", index=True)
    lookup: str = _text(unique=True)
    old_lookups: list[str] = Field(sa_type=ARRAY(Text))
    """The same of texts that it had before it was rotated."""


class KeyUse(Base, table=True):
    """When a gateway last let a key in."""

    __tablename__ = "key_use"

    key_id: UUID = _reference("key.id", cascade=True, primary=True)
    last_used_at: datetime = _moment()


class KeyQueue(Base, table=True):
    """A queue that a key opens."""

    __tablename__ = "key_queue"

    key_id: UUID = _reference("key.id", cascade=True, primary=True)
    queue_id: UUID = Field(foreign_key="queue.id", primary_key=True, index=True)


class KeyProvider(Base, table=True):
    """A provider that a key may call directly."""

    __tablename__ = "key_provider"

    key_id: UUID = _reference("key.id", cascade=True, primary=True)
    provider_id: UUID = Field(foreign_key="provider.id", primary_key=True, index=True)


class KeyRule(Base, table=True):
    """A forwarding rule that a key opens."""

    __tablename__ = "key_rule"

    key_id: UUID = _reference("key.id", cascade=True, primary=True)
    rule_id: UUID = Field(foreign_key="rule.id", primary_key=True, index=True)


class Gateway(DeclaredBase, table=True):
    """A gateway that is kept as it is declared."""


class GatewayState(Base, table=True):
    """How a gateway stands, as the reconciler left it."""

    __tablename__ = "gateway_state"

    gateway_id: UUID = _reference("gateway.id", cascade=True, primary=True)
    state: str = _text()
    last_pass: datetime | None = _moment(default=None, nullable=True)
    applied_revision: int = Field(default=0, sa_type=BigInteger)
    writes: int = Field(default=0, sa_type=BigInteger)
    error: str | None = _text(default=None)
    leader: str = _text(default="")
    plugins: list[str] | None = Field(default=None, sa_type=JSONB, nullable=True)
    """What the gateway lists; None until it has been asked."""
    looked_at: datetime | None = _moment(default=None, nullable=True)
    """When the whole gateway was last read."""
    drift_found: int = Field(default=0, sa_type=BigInteger)
    """How many edits by hand were ever found."""
    heal_asked_at: datetime | None = _moment(default=None, nullable=True)
    """Somebody wants its drift undone, whatever the gateway's own mode."""


class Inventory(Base, table=True):
    """What was last written of each object of each gateway."""

    gateway_id: UUID = _reference("gateway.id", cascade=True, primary=True)
    kind: str = _text(primary_key=True)
    object_id: str = _text(primary_key=True)
    hash: str | None = _text(default=None)
    """None until a write has succeeded."""
    declared_by: str = _text(index=True)
    state: str = _text()
    error: str | None = _text(default=None)
    applied_at: datetime | None = _moment(default=None, nullable=True)
    drift: list[Json] | None = Field(default=None, sa_type=JSONB, nullable=True)
    """What somebody changed on the gateway and nobody has undone, field by field."""


class Adoption(Base, table=True):
    """An object without our label that may be taken over once it is declared."""

    gateway_id: UUID = _reference("gateway.id", cascade=True, primary=True)
    kind: str = _text(primary_key=True)
    object_id: str = _text(primary_key=True)


class Revision(Base, table=True):
    """A write: one for every change of the desired state."""

    __table_args__ = (
        Index("ix_revision_source", "source", "id"),
        Index("ix_revision_author", "author", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    created_at: datetime = _moment()
    author: str = _text()
    source: str = _text()
    message: str = _text()


class RevisionChange(Base, table=True):
    """What a revision did to one object. Secrets are sealed, here too."""

    __tablename__ = "revision_change"
    __table_args__ = (
        Index("ix_revision_change_object", "kind", "object_id", "revision_id"),
        Index("ix_revision_change_name", "kind", "name"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    revision_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("revision.id"), nullable=False, index=True)
    )
    kind: str = _text()
    object_id: UUID
    name: str = _text()
    tenant_id: UUID | None = Field(default=None, index=True)
    """Whose object it was. No reference: what is written here stays when the tenant goes."""
    before: Json | None = Field(default=None, sa_type=JSONB, nullable=True)
    after: Json | None = Field(default=None, sa_type=JSONB, nullable=True)


class Audit(Base, table=True):
    """Who did what, from where. Only ever added to, which a trigger sees to; secrets are masked."""

    __table_args__ = (
        Index("ix_audit_author", "author", "id"),
        Index("ix_audit_object", "kind", "name", "id"),
        Index("ix_audit_revision", "revision_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    at: datetime = _moment()
    author: str = _text()
    address: str = _text()
    request_id: str = _text()
    action: str = _text()
    kind: str = _text()
    object_id: UUID
    name: str = _text()
    tenant_id: UUID | None = Field(default=None, index=True)
    """Whose object it was. No reference: what is written here stays when the tenant goes."""
    before: Json | None = Field(default=None, sa_type=JSONB, nullable=True)
    after: Json | None = Field(default=None, sa_type=JSONB, nullable=True)
    revision_id: int | None = Field(default=None, sa_column=Column(BigInteger, ForeignKey("revision.id")))
    previous: str | None = _text(default=None)
    """The digest of the row before; none in rows of a release that kept no chain."""
    digest: str | None = _text(default=None)


class AuditHead(Base, table=True):
    """The end of the chain of audit rows: one row."""

    __tablename__ = "audit_head"

    id: int = Field(primary_key=True)
    rows: int = Field(sa_type=BigInteger)
    digest: str = _text()


class Account(Base, table=True):
    """Somebody who may use the control plane."""

    id: UUID = Field(primary_key=True)
    name: str = Field(sa_type=Text(collation="C"), unique=True)
    kind: str = _text()
    role: str = _text()
    tenant_id: UUID | None = Field(default=None, foreign_key="tenant.id", index=True)
    email: str | None = _text(default=None, unique=True)
    subject: str | None = _text(default=None, unique=True)
    """Issuer and subject of the identity that has signed in as this account."""
    enabled: bool
    created_at: datetime = _moment()


class AccessToken(Base, table=True):
    """What an account sends to be let in; only its digest is kept."""

    __tablename__ = "access_token"

    id: UUID = Field(primary_key=True)
    account_id: UUID = Field(sa_column_args=[ForeignKey("account.id", ondelete="CASCADE")], index=True)
    lookup: str = _text(unique=True)
    label: str = _text()
    created_at: datetime = _moment()
    expires_at: datetime | None = _moment(default=None, nullable=True)
    last_used_at: datetime | None = _moment(default=None, nullable=True)


class SignedIn(Base, table=True):
    """A session; only the digest of its cookie is kept."""

    __tablename__ = "session"

    lookup: str = _text(primary_key=True)
    account_id: UUID | None = Field(
        default=None, sa_column_args=[ForeignKey("account.id", ondelete="CASCADE")], index=True
    )
    token_id: UUID | None = Field(
        default=None, sa_column_args=[ForeignKey("access_token.id", ondelete="CASCADE")], index=True
    )
    """The token that was signed in with: the session ends when it is revoked."""
    administrator: str | None = _text(default=None)
    """The digest of SLUICE_ADMIN_TOKEN, where that was signed in with: another token ends the session."""
    created_at: datetime = _moment()
    expires_at: datetime = _moment(index=True)
