"""The desired state as the pure part sees it: every declaration resolved, with ids and secret handles.

The store builds these values; the compiler turns them into gateway objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid5

from controlplane.core.rotation import OldText, next_end
from controlplane.core.rules import RuleSpec
from controlplane.core.secrets import Secret
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec, TenantSpec, TierSpec

NAMESPACE = UUID("6f1d1c1e-6f0e-5d5a-9d5a-51c1ce000001")


def derived_id(kind: str, name: str) -> UUID:
    """The id of an object whose author gave none: the same name gives the same id everywhere."""
    return uuid5(NAMESPACE, f"{kind}:{name}")


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider; `spec.api_key` is always None here, `secret` stands for it."""

    id: UUID
    spec: ProviderSpec
    secret: Secret | None
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Tenant:
    id: UUID
    spec: TenantSpec
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Tier:
    id: UUID
    spec: TierSpec
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Queue:
    id: UUID
    spec: QueueSpec
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Rule:
    """A forwarding rule; `spec.api_key` is always None here, `secret` stands for it."""

    id: UUID
    spec: RuleSpec
    secret: Secret | None = None
    source: str = "default"


@dataclass(frozen=True, slots=True)
class Key:
    """A key; `spec.key` is always None here, `secret` stands for it."""

    id: UUID
    spec: KeySpec
    secret: Secret
    source: str = "default"
    old_texts: tuple[OldText, ...] = ()
    """What it was before it was rotated, as far as that has not been forgotten yet."""
    rotated: bool = False
    """Whether it ever had another text."""

    def old_texts_at(self, moment: datetime) -> tuple[OldText, ...]:
        """The texts from before that still open what the key opens."""
        return tuple(text for text in self.old_texts if moment < text.ends_at)

    def usable_at(self, moment: datetime) -> bool:
        return self.spec.enabled and (self.spec.expires_at is None or moment < self.spec.expires_at)


@dataclass(frozen=True)
class DesiredState:
    """Everything that is declared, by name, as of one revision."""

    revision: int = 0
    providers: Mapping[str, Provider] = field(default_factory=dict)
    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    tiers: Mapping[str, Tier] = field(default_factory=dict)

    def next_end(self, moment: datetime) -> datetime | None:
        """When something of it ends next, although nobody changes anything."""
        expiries = (key.spec.expires_at for key in self.keys.values())
        windows = (text.ends_at for key in self.keys.values() for text in key.old_texts)
        return next_end((*expiries, *windows), moment)
