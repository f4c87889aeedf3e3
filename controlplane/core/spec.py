"""What users declare: gateways, tiers, providers, tenants, queues with their members, rules, and keys.

One grammar for YAML, REST and the dashboard. A secret is plain text only here, on its way in; the
store seals it, and everything behind the store sees a handle (`controlplane.core.desired`).
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, StrictBool, model_validator

from controlplane.core.attributes import ATTRIBUTES
from controlplane.core.chain import Plugins
from controlplane.core.checked import Checked, check
from controlplane.core.claims import Claims
from controlplane.core.declared import (
    Declared,
    Endpoint,
    Labels,
    Limits,
    LimitsAbove,
    divided,
    names_of,
    needs_keys,
    own_name,
    the_same,
    unique,
)
from controlplane.core.gateways import GatewaySpec
from controlplane.core.guards import Guards
from controlplane.core.rules import RuleSpec
from controlplane.core.text import ApiKey, HeaderName, ModelName, Name, SecretText, Text
from controlplane.core.wrong_field import WrongField

MEMBERS_EACH = 64


class ProviderType(StrEnum):
    """The providers that APISIX 3.18 speaks to."""

    OPENAI = "openai"
    DEEPSEEK = "deepseek"
    AIMLAPI = "aimlapi"
    ANTHROPIC = "anthropic"
    OPENAI_COMPATIBLE = "openai-compatible"
    AZURE_OPENAI = "azure-openai"
    OPENROUTER = "openrouter"
    GEMINI = "gemini"
    VERTEX_AI = "vertex-ai"
    BEDROCK = "bedrock"


class Balancer(StrEnum):
    """How a queue picks among members of one priority."""

    ROUNDROBIN = "roundrobin"
    CHASH = "chash"
    SEMANTIC = "semantic"
    SCORE = "score"


class Fallback(StrEnum):
    """When a queue goes on to its next member."""

    RATE_LIMITING = "rate_limiting"
    HTTP_429 = "http_429"
    HTTP_5XX = "http_5xx"


class Access(StrEnum):
    """Who may call a queue."""

    KEYS = "keys"
    OPEN = "open"


Price = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False, strict=True)]


class Model(Declared):
    """A model of a provider, with what it costs."""

    name: ModelName
    input_usd_per_mtok: Price | None = None
    output_usd_per_mtok: Price | None = None
    accuracy: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None


class ProviderSpec(Declared, Checked):
    """An account at an LLM provider."""

    name: Name
    type: ProviderType
    api_key: SecretText | None = None
    """The account's key; for vertex-ai the service account's JSON, for bedrock the secret access key.
    `$env://NAME` and `$secret://…` are handed to the gateway as they are."""
    endpoint: Endpoint | None = None
    """The provider's address where it is not the usual one: scheme and host, or a full URL."""
    region: Annotated[Text, Field(min_length=1)] | None = None
    """Region of bedrock or vertex-ai."""
    project: Annotated[Text, Field(min_length=1)] | None = None
    """Project of vertex-ai."""
    access_key_id: Annotated[Text, Field(min_length=1)] | None = None
    """Access key id of bedrock."""
    tenant: Name | None = None
    """Whose account it is; the platform's own without one."""
    shared: StrictBool = False
    """Every tenant may use it in queues of its own. It needs no `tenant`."""
    models: Annotated[tuple[Model, ...], Field(max_length=512)] = ()
    limits: Limits = ()
    labels: Labels = Field(default_factory=dict)
    protect: StrictBool = False
    """Never removed by a prune."""

    @check
    def _names(self) -> Iterator[WrongField]:
        return own_name(self.name)

    @check
    def _models(self) -> Iterator[WrongField]:
        return unique(names_of(self.models), "the model", at="models")

    @check
    def _whose(self) -> Iterator[WrongField]:
        if self.shared and self.tenant:
            yield WrongField("shared", "a provider of a tenant cannot be `shared`; remove one of the two")

    @check
    def _found(self) -> Iterator[WrongField]:
        needs_endpoint = (ProviderType.OPENAI_COMPATIBLE, ProviderType.AZURE_OPENAI)
        if self.type in needs_endpoint and self.endpoint is None:
            yield WrongField("endpoint", f"a provider of type {self.type} needs an `endpoint`; add it")
        if self.type is ProviderType.BEDROCK and not (self.region and self.access_key_id):
            message = "a provider of type bedrock needs `region`, `access_key_id` and `api_key`"
            yield WrongField("access_key_id" if self.region else "region", message)
        if self.type is ProviderType.VERTEX_AI and not (self.endpoint or (self.project and self.region)):
            message = "a provider of type vertex-ai needs `project` and `region`, or an `endpoint`"
            yield WrongField("region" if self.project else "project", message)


EVERYTHING = "everything"
"""The tier that everybody's calls are counted in."""


class TierSpec(Declared, Checked):
    """What tenants of one kind may use, on every gateway that does not say otherwise."""

    name: Name
    """What tenants name as their `tier`; `everything` counts all calls, whoever makes them."""
    limits: LimitsAbove = ()
    """Of each tenant of the tier that declares none of its own; of `everything`: over all calls."""
    labels: Labels = Field(default_factory=dict)
    protect: StrictBool = False

    @check
    def _names(self) -> Iterator[WrongField]:
        return own_name(self.name)


class TenantSpec(Declared, Checked):
    """A team or customer that shares the gateways with others."""

    name: Name
    subdomain: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")] | None = None
    tier: Name | None = None
    suspended: StrictBool = False
    """Its queues are closed and its keys open nothing, until it is taken back."""
    limits: LimitsAbove = ()
    """Over all its queues and keys; `by: team`, `rolegroup`, `role` or `user` counts each of them apart."""
    required_plugins: Plugins = ()
    """What is put in front of the plugins of every rule of the tenant."""
    labels: Labels = Field(default_factory=dict)
    protect: StrictBool = False

    @check
    def _names(self) -> Iterator[WrongField]:
        return own_name(self.name)

    @check
    def _tier(self) -> Iterator[WrongField]:
        if self.tier == EVERYTHING:
            yield WrongField("tier", f"`{EVERYTHING}` holds everybody already; name another tier")


class MemberSpec(Declared):
    """One provider's model in a queue."""

    name: Name
    provider: Name
    model: ModelName | None = None
    """The model that is asked for, whatever the client wrote; without it the client's model is used."""
    weight: Annotated[int, Field(ge=0, le=10_000, strict=True)] = 1
    priority: Annotated[int, Field(ge=-1000, le=1000, strict=True)] = 0
    """Members of the highest priority are used first."""
    max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000, strict=True)] | None = None
    limits: Limits = ()


class QueueSpec(Declared, Checked):
    """A pool of members behind one name, with limits."""

    name: Name
    id: UUID | None = None
    """The queue's own UUID; made up where it is left out. The name and the UUID both address it."""
    tenant: Name | None = None
    access: Access = Access.KEYS
    """`keys`: only keys that list this queue may call it; `open`: anybody who reaches the gateway."""
    balancer: Balancer = Balancer.ROUNDROBIN
    hash_on: HeaderName | None = None
    """With `balancer: chash`, the header whose value picks the member; the client's address without it."""
    fallback: Annotated[tuple[Fallback, ...], Field(max_length=3)] = ()
    members: Annotated[
        tuple[MemberSpec, ...], Field(min_length=1, max_length=MEMBERS_EACH), AfterValidator(the_same)
    ]
    limits: Limits = ()
    guards: Guards = Guards()
    timeout_s: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False, strict=True)] = 60
    """How long a member may take to answer, or to send the next piece of a stream."""
    gateways: Labels = Field(default_factory=dict)
    """The labels of the gateways that serve it, such as `{region: eu}`; every gateway without any."""
    labels: Labels = Field(default_factory=dict)
    protect: StrictBool = False

    @check
    def _names(self) -> Iterator[WrongField]:
        return own_name(self.name, self.id)

    @check
    def _member_names(self) -> Iterator[WrongField]:
        return unique(names_of(self.members), "the member", at="members")

    @check
    def _fallbacks(self) -> Iterator[WrongField]:
        return unique(self.fallback, "the fallback", at="fallback")

    @check
    def _weights(self) -> Iterator[WrongField]:
        if all(member.weight == 0 for member in self.members):
            message = "every member has weight 0, so nothing could be called; raise one weight"
            yield WrongField("members", message)

    @check
    def _hashed(self) -> Iterator[WrongField]:
        if self.hash_on and self.balancer is not Balancer.CHASH:
            yield WrongField("hash_on", "`hash_on` belongs to `balancer: chash`")

    @check
    def _limits_of_keys(self) -> Iterator[WrongField]:
        return needs_keys(self.limits, "queue") if self.access is Access.OPEN else iter(())

    @check
    def _limits_of_tenants(self) -> Iterator[WrongField]:
        for field, by in divided(self.limits):
            if by in ATTRIBUTES:
                yield WrongField(field, f"`by: {by}` belongs to a tenant's limits; declare it there")


class KeySpec(Declared, Checked):
    """What an application sends to be let in."""

    name: Name
    tenant: Name | None = None
    queues: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    """The queues that the key opens."""
    providers: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    """The providers that the key may call directly, past any queue's limits."""
    models: Annotated[tuple[ModelName, ...], Field(max_length=256)] = ()
    """The models that may answer its calls, whatever it opens; any without one."""
    rules: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    """The forwarding rules that the key opens."""
    key: ApiKey | None = None
    """The key's own text, where it exists already; made up where it is left out."""
    expires_at: AwareDatetime | None = None
    enabled: StrictBool = True
    claims: Claims = Claims()
    """Who its calls are from: what is pinned here is believed, and the client's header is not."""
    limits: Limits = ()
    """Over everything that it calls."""
    labels: Labels = Field(default_factory=dict)
    protect: StrictBool = False

    @check
    def _names(self) -> Iterator[WrongField]:
        return own_name(self.name)

    @check
    def _opens(self) -> Iterator[WrongField]:
        for kind in ("queue", "provider", "model", "rule"):
            yield from unique(getattr(self, f"{kind}s", ()), f"the {kind}", at=f"{kind}s")


class Document(Declared, Checked):
    """A `queues.yaml`: everything that one source declares."""

    version: Annotated[int, Field(ge=1, le=1, strict=True)] = 1
    source: Name = "default"
    """Who owns what this file declares; a prune never crosses it."""
    gateways: tuple[GatewaySpec, ...] = ()
    """Where all of it is enforced. A file without this says nothing of gateways, also not in a prune."""
    tiers: tuple[TierSpec, ...] = ()
    providers: tuple[ProviderSpec, ...] = ()
    tenants: tuple[TenantSpec, ...] = ()
    queues: tuple[QueueSpec, ...] = ()
    rules: tuple[RuleSpec, ...] = ()
    keys: tuple[KeySpec, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _empty_lists(cls, data: Any) -> Any:  # Any: raw input of a file, checked by the fields
        """`queues:` with nothing behind it is an empty list in YAML's eyes of a user."""
        if isinstance(data, dict):
            return {name: () if value is None and name != "source" else value for name, value in data.items()}
        return data

    @check
    def _own_names(self) -> Iterator[WrongField]:
        for kind in ("gateway", "tier", "provider", "tenant", "queue", "rule", "key"):
            names = names_of(getattr(self, f"{kind}s", ()))
            yield from unique(names, f"the {kind}", at=f"{kind}s")
