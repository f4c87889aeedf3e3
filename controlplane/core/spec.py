"""What users declare: gateways, tiers, providers, tenants, queues with their members, rules, and keys.

One grammar for YAML, REST and the dashboard. A secret is plain text only here, on its way in; the
store seals it, and everything behind the store sees a handle (`controlplane.core.desired`).
"""

from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, StrictBool, model_validator

from controlplane.core.attributes import ATTRIBUTES
from controlplane.core.chain import Plugins
from controlplane.core.claims import Claims
from controlplane.core.declared import (
    Declared,
    Endpoint,
    Labels,
    Limits,
    LimitsAbove,
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


class ProviderSpec(Declared):
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

    @model_validator(mode="after")
    def _complete(self) -> Self:
        own_name(self.name)
        unique([model.name for model in self.models], "the model", at="models")
        if self.shared and self.tenant:
            raise WrongField("shared", "a provider of a tenant cannot be `shared`; remove one of the two")
        needs_endpoint = (ProviderType.OPENAI_COMPATIBLE, ProviderType.AZURE_OPENAI)
        if self.type in needs_endpoint and self.endpoint is None:
            raise WrongField("endpoint", f"a provider of type {self.type} needs an `endpoint`; add it")
        if self.type is ProviderType.BEDROCK and not (self.region and self.access_key_id):
            message = "a provider of type bedrock needs `region`, `access_key_id` and `api_key`"
            raise WrongField("access_key_id" if self.region else "region", message)
        if self.type is ProviderType.VERTEX_AI and not (self.endpoint or (self.project and self.region)):
            message = "a provider of type vertex-ai needs `project` and `region`, or an `endpoint`"
            raise WrongField("region" if self.project else "project", message)
        return self


EVERYTHING = "everything"
"""The tier that everybody's calls are counted in."""


class TierSpec(Declared):
    """What tenants of one kind may use, on every gateway that does not say otherwise."""

    name: Name
    """What tenants name as their `tier`; `everything` counts all calls, whoever makes them."""
    limits: LimitsAbove = ()
    """Of each tenant of the tier that declares none of its own; of `everything`: over all calls."""
    labels: Labels = Field(default_factory=dict)
    protect: StrictBool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        own_name(self.name)
        return self


class TenantSpec(Declared):
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        own_name(self.name)
        if self.tier == EVERYTHING:
            raise WrongField("tier", f"`{EVERYTHING}` holds everybody already; name another tier")
        return self


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


class QueueSpec(Declared):
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        own_name(self.name, self.id)
        unique([member.name for member in self.members], "the member", at="members")
        unique(list(self.fallback), "the fallback", at="fallback")
        if all(member.weight == 0 for member in self.members):
            message = "every member has weight 0, so nothing could be called; raise one weight"
            raise WrongField("members", message)
        if self.hash_on and self.balancer is not Balancer.CHASH:
            raise WrongField("hash_on", "`hash_on` belongs to `balancer: chash`")
        for index, limit in enumerate(self.limits):
            field = f"limits[{index}].by"
            if self.access is Access.OPEN and limit.by == "key":
                raise WrongField(field, "`by: key` needs `access: keys`, for an open queue knows no keys")
            if limit.by in ATTRIBUTES:
                message = f"`by: {limit.by}` belongs to a tenant's limits; declare it there"
                raise WrongField(field, message)
        return self


class KeySpec(Declared):
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        own_name(self.name)
        unique(list(self.queues), "the queue", at="queues")
        unique(list(self.providers), "the provider", at="providers")
        unique(list(self.models), "the model", at="models")
        unique(list(self.rules), "the rule", at="rules")
        return self


class Document(Declared):
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

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        unique([item.name for item in self.gateways], "the gateway")
        unique([item.name for item in self.tiers], "the tier")
        unique([item.name for item in self.providers], "the provider")
        unique([item.name for item in self.tenants], "the tenant")
        unique([item.name for item in self.queues], "the queue")
        unique([item.name for item in self.rules], "the rule")
        unique([item.name for item in self.keys], "the key")
        return self
