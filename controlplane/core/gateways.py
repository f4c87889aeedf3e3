"""What users say about a gateway, and the gateway as the reconciler sees it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr

from controlplane.core.secrets import MASK, Secret
from controlplane.core.spec import Declared, Endpoint, Labels
from controlplane.core.text import Name, SecretText


class GatewayKind(StrEnum):
    """How a gateway is written to."""

    APISIX = "apisix"


class Drift(StrEnum):
    """What happens when somebody edits one of our objects on a gateway by hand."""

    HEAL = "heal"
    REPORT = "report"


def _redis_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    schemes = ("redis://", "rediss://", "unix://")
    if text != MASK and (not text.startswith(schemes) or any(char.isspace() for char in text)):
        raise ValueError("must be a URL that starts with redis://, rediss:// or unix://")
    return value


RedisUrl = Annotated[SecretText, AfterValidator(_redis_url)]


class GatewaySpec(Declared):
    """A gateway, or a cluster of gateways that share one Admin API."""

    name: Name
    kind: GatewayKind = GatewayKind.APISIX
    admin_url: Endpoint
    """Where its Admin API answers, as the control plane reaches it."""
    admin_key: SecretText | None = None
    """The key of its Admin API."""
    traffic_url: Endpoint | None = None
    """Where clients send their requests; shown in addresses, never called."""
    redis_url: RedisUrl | None = None
    """The Redis or Valkey that keeps its counters, as the gateway reaches it; without one, every node
    of the gateway counts alone."""
    labels: Labels = Field(default_factory=dict)
    drift: Drift = Drift.HEAL
    enabled: bool = True
    """False leaves the gateway as it is."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway; the secrets of `spec` are always None here, `admin_key` and `redis_url` stand for them."""

    id: UUID
    spec: GatewaySpec
    admin_key: Secret | None
    redis_url: Secret | None
    version: int
