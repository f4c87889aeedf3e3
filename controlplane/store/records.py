"""What goes into the store and comes out of it, apart from the tables that hold it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar
from uuid import UUID

from controlplane.core.gateways import GatewaySpec
from controlplane.core.rules import RuleSpec
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec, TenantSpec, TierSpec

Spec = TierSpec | ProviderSpec | TenantSpec | QueueSpec | RuleSpec | KeySpec | GatewaySpec
S = TypeVar("S", bound=Spec)


class Kind(StrEnum):
    """The kinds of declared objects, those that are referred to before those that refer."""

    TIER = "tier"
    TENANT = "tenant"
    PROVIDER = "provider"
    QUEUE = "queue"
    RULE = "rule"
    KEY = "key"
    GATEWAY = "gateway"

    @property
    def plural(self) -> str:
        return f"{self}s"

    @property
    def model(self) -> type[Spec]:
        return _MODELS[self]

    @property
    def secret_fields(self) -> tuple[str, ...]:
        return _SECRET_FIELDS.get(self, ())


_MODELS: dict[Kind, type[Spec]] = {
    Kind.TIER: TierSpec,
    Kind.PROVIDER: ProviderSpec,
    Kind.TENANT: TenantSpec,
    Kind.QUEUE: QueueSpec,
    Kind.RULE: RuleSpec,
    Kind.KEY: KeySpec,
    Kind.GATEWAY: GatewaySpec,
}
_SECRET_FIELDS = {
    Kind.PROVIDER: ("api_key",),
    Kind.RULE: ("api_key",),
    Kind.KEY: ("key",),
    Kind.GATEWAY: ("admin_key", "redis_url"),
}


@dataclass(frozen=True, slots=True)
class Stored(Generic[S]):
    """A declared object as it is kept. Secret fields of `spec` are `***` where they are set."""

    id: UUID
    spec: S
    source: str
    version: int
    """The revision of its last write, and so its ETag."""
    created_at: datetime
    updated_at: datetime
    old_texts_until: Sequence[datetime] = ()
    """When each text that a key had before it was rotated ceases to work, or has ceased."""
    last_used_at: datetime | None = None
    """When a gateway last let a key in, as far as one has told."""

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, from where, and why."""

    name: str
    address: str = ""
    request_id: str = ""
    message: str = ""
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Query:
    """A page of a list: filters are joined by `and`."""

    limit: int = 50
    cursor: str | None = None
    name_prefix: str | None = None
    source: str | None = None
    tenant: str | None = None
    type: str | None = None
    label: str | None = None
    """`name` or `name=value`."""


@dataclass(frozen=True, slots=True)
class Page(Generic[S]):
    """One page, and the cursor of the next one where there is more."""

    items: Sequence[Stored[S]]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Written(Generic[S]):
    """What a write leaves: the object, the revision, and a key's own text when it was made just now."""

    stored: Stored[S]
    revision: int
    new_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """One object that a document changed."""

    kind: Kind
    name: str
    action: str
    """`create`, `update` or `delete`."""
    fields: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What a document changed; `keys` has the text of keys that were made just now, by name."""

    revision: int
    changes: Sequence[AppliedChange]
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Revision:
    """A write, and who made it."""

    id: int
    created_at: datetime
    author: str
    source: str
    message: str
    objects: int
    """How many objects it changed."""


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field that became another; both sides are fit to be shown."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RevisionChange:
    """What became of one object; secrets are masked."""

    kind: Kind
    name: str
    object_id: UUID
    action: str
    """`create`, `update` or `delete`."""
    fields: Sequence[FieldDifference]
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """How a gateway stands, as the reconciler left it."""

    state: str = "pending"
    last_pass: datetime | None = None
    applied_revision: int = 0
    writes: int = 0
    error: str | None = None
    leader: str = ""
    objects: Mapping[str, int] = field(default_factory=dict)
    """How many objects are `applied` and how many `failed`."""
    looked_at: datetime | None = None
    """When the whole gateway was last read, and drift was looked for."""
    drift: int = 0
    """How many objects are not as they were written, and nobody has undone it."""
    drift_found: int = 0
    """How many edits by hand were ever found."""
    healing: bool = False
    """Drift is to be undone with the next pass."""


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """One object on one gateway."""

    gateway: str
    kind: str
    id: str
    declared_by: str
    state: str
    error: str | None
    applied_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldObject:
    """One of our objects, as it was last written to a gateway."""

    kind: str
    id: str
    declared_by: str
    hash: str | None
    state: str
    error: str | None
    applied_at: datetime | None
