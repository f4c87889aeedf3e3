"""What users say about a gateway, and the gateway as the reconciler sees it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, StrictBool, StringConstraints

from controlplane.core.checked import Checked, check
from controlplane.core.declared import Declared, Endpoint, Labels, Limits, unique
from controlplane.core.platform import Platform
from controlplane.core.secrets import MASK, Secret, is_gateway_reference
from controlplane.core.text import Name, SecretText
from controlplane.core.wrong_field import WrongField


class GatewayKind(StrEnum):
    """How a gateway is written to."""

    APISIX = "apisix"
    """Object by object, through the Admin API: an APISIX with etcd, or the fallback gateway."""
    STANDALONE = "apisix-standalone"
    """All at once, through the Admin API of a standalone APISIX."""
    FILE = "apisix-yaml"
    """All at once, as the file that a standalone APISIX reads."""

    @property
    def tells_plugins(self) -> bool:
        """Whether the gateway can be asked for its plugins."""
        return self is GatewayKind.APISIX


class Drift(StrEnum):
    """What happens when somebody edits one of our objects on a gateway by hand."""

    HEAL = "heal"
    REPORT = "report"


def _redis_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text == MASK:
        return value
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    database = parts.path.strip("/") if usable else ""
    if not usable or any(char.isspace() for char in text) or not (database or "0").isdecimal():
        raise ValueError("must be a URL such as redis://:password@host:6379/0, or rediss:// for TLS")
    return value


def _header_text(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("must be visible ASCII characters, for it travels in an HTTP header")
    if is_gateway_reference(value.get_secret_value()):
        raise ValueError("is for the control plane, which cannot look up what a gateway would; write the key")
    return value


RedisUrl = Annotated[SecretText, AfterValidator(_redis_url)]
AdminKey = Annotated[SecretText, AfterValidator(_header_text)]
FileName = Annotated[
    str,
    StringConstraints(
        max_length=256, pattern=r"^(?:[A-Za-z0-9][A-Za-z0-9._-]*/)*[A-Za-z0-9][A-Za-z0-9._-]*\.ya?ml$"
    ),
]
"""A path that stays below the folder it is in."""
PluginName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class GatewaySpec(Declared, Checked):
    """A gateway, or a cluster of gateways that share one Admin API."""

    name: Name
    kind: GatewayKind = GatewayKind.APISIX
    """How it is written to: `apisix`, object by object through the Admin API of an APISIX with etcd or of the
    fallback gateway; `apisix-standalone`, all at once through that of a standalone APISIX; `apisix-yaml`, all
    at once as the file that a standalone APISIX reads."""
    admin_url: Endpoint | None = None
    """Where its Admin API answers, as the control plane reaches it."""
    admin_key: AdminKey | None = None
    """The key of its Admin API."""
    file: FileName | None = None
    """Of `kind: apisix-yaml`, where its file is, below the folder SLUICE_GATEWAY_FILES of the service."""
    traffic_url: Endpoint | None = None
    """Where clients send their requests; shown in addresses, never called."""
    redis_url: RedisUrl | None = None
    """The Redis or Valkey that keeps its counters, as the gateway reaches it; without one, every node
    of the gateway counts alone."""
    limits: Limits = ()
    """Over all calls that go through it, in place of the declared tier `everything`."""
    tiers: Annotated[dict[Name, Limits], Field(max_length=64)] = Field(default_factory=dict)
    """By tier: the limits of each tenant that declares none of its own, in place of the declared tier's."""
    plugins: Annotated[tuple[PluginName, ...], Field(max_length=64)] = ()
    """What it has beyond the plugins of a stock APISIX 3.18, such as `token-budget`, where it is of a kind
    that cannot be asked."""
    labels: Labels = Field(default_factory=dict)
    drift: Drift = Drift.HEAL
    """What happens when somebody edits one of our objects by hand: `heal` puts it back, `report` leaves it
    and says so in the gateway's status, in plans and in the metrics until somebody applies."""
    last_used: StrictBool = False
    """Whether it tells when keys were used: for an APISIX, which does not by itself. It sends the service the
    name and the time of each call with a key, in batches."""
    enabled: StrictBool = True
    """False leaves the gateway as it is."""
    protect: StrictBool = False
    """Never removed by a prune."""

    @check
    def _plugins(self) -> Iterator[WrongField]:
        return unique(self.plugins, "the plugin", at="plugins")

    @check
    def _tells_plugins(self) -> Iterator[WrongField]:
        if self.plugins and self.kind.tells_plugins:
            message = "`plugins` belongs to kinds that cannot be asked; this one tells them itself"
            yield WrongField("plugins", message)

    @check
    def _file(self) -> Iterator[WrongField]:
        if self.kind is GatewayKind.FILE and self.file is None:
            yield WrongField("file", "`kind: apisix-yaml` needs a `file`, such as edge/apisix.yaml")
        if self.kind is not GatewayKind.FILE and self.file is not None:
            yield WrongField("file", "`file` belongs to `kind: apisix-yaml`")

    @check
    def _admin_url(self) -> Iterator[WrongField]:
        if self.kind is GatewayKind.FILE and self.admin_url is not None:
            yield WrongField("admin_url", "`kind: apisix-yaml` has no Admin API; leave out `admin_url`")
        if self.kind is not GatewayKind.FILE and self.admin_url is None:
            message = f"`kind: {self.kind}` needs an `admin_url`, where its Admin API answers"
            yield WrongField("admin_url", message)

    @property
    def platform(self) -> Platform:
        """What stands above every tenant on it."""
        return Platform(self.limits, self.tiers)

    @property
    def address(self) -> tuple[GatewayKind, str | None, str | None]:
        """What tells it from any other gateway, whatever it is called."""
        return self.kind, self.admin_url, self.file


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway; the secrets of `spec` are always None here, `admin_key` and `redis_url` stand for them."""

    id: UUID
    spec: GatewaySpec
    admin_key: Secret | None
    redis_url: Secret | None
    source: str = "default"
