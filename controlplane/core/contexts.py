"""What the templates are given: every value resolved, every id, label and amount settled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.core.key_models import KeyModels
from controlplane.core.objects import Kind, ObjectKey
from controlplane.core.secrets import Secret
from controlplane.core.standing import Choice, KeyLevels

Labels = Mapping[str, str]
Pins = Mapping[tuple[str | int, ...], object]
"""Places in the finished object that must hold exactly these values, whatever a template does."""

OWN_FIELDS = frozenset(
    {
        *("key", "labels", "declared_by", "uris", "hosts", "conditions", "plugin_config", "upstream"),
        *("consumers", "set_headers", "bucket", "members", "budgets", "choices", "caps"),
        *("username", "description", "models", "levels", "secret"),
    }
)
"""The fields in which contexts differ that are alike otherwise; what is in the others, many have in common.

Which these are decides only how fast objects are made: see `controlplane.core.shapes`.
"""


@dataclass(frozen=True, slots=True)
class CounterStore:
    """Where a gateway keeps its counters: a Redis as the gateway reaches it, or each node's own memory."""

    host: str | None = None
    port: int = 6379
    database: int = 0
    username: str | None = None
    password: Secret | None = None
    tls: bool = False

    @property
    def policy(self) -> str:
        return "local" if self.host is None else "redis"


@dataclass(frozen=True, slots=True)
class Instance:
    """A member as `ai-proxy-multi` wants it."""

    name: str
    provider: str
    weight: int
    priority: int
    auth: Mapping[str, Any]  # Any: header names or cloud credentials to Secret or text
    options: Mapping[str, str]
    override: Mapping[str, Any]  # Any: an endpoint's text, or the options of the LLM
    provider_conf: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Context:
    """Base of all contexts."""

    key: ObjectKey
    labels: Labels
    declared_by: str
    pins: Pins = field(default_factory=dict, kw_only=True)

    @property
    def template(self) -> str:
        return _TEMPLATES[self.key.kind]


_TEMPLATES = {
    Kind.SERVICE: "service.json.j2",
    Kind.PLUGIN_CONFIG: "plugin_config.json.j2",
    Kind.CONSUMER: "consumer.json.j2",
    Kind.CREDENTIAL: "credential.json.j2",
    Kind.ROUTE: "route.json.j2",
}


@dataclass(frozen=True, slots=True)
class ServiceContext(Context):
    """The service that all our routes share: the levels' counters and the shape of a rejection."""

    strategy: str
    rules: Sequence[Mapping[str, str]]
    levels_variable: str
    counters: CounterStore
    strip_headers: str
    retry_after: str
    rejection: str
    uses: Mapping[str, Any] | None = None  # Any: the configuration of a plugin
    """How the gateway tells when keys were used."""
    budgets: Sequence[Mapping[str, Any]] = ()  # Any: the limits of token-budget
    """The buckets that stand above queues."""


@dataclass(frozen=True, slots=True)
class PolicyContext(Context):
    """What all routes of one queue (or provider) have in common: who may call, and the limits."""

    consumers: Sequence[str] | None
    """The consumers that are let in; None lets in everybody."""
    set_headers: Mapping[str, str | Secret]
    remove_headers: Sequence[str]
    counters: CounterStore
    counts: Sequence[Mapping[str, str | int]] = ()
    concurrency: Sequence[Mapping[str, str | int]] = ()
    bucket: Mapping[str, str | float] | None = None
    members: Sequence[Mapping[str, str | int]] = ()
    strategy: str = "total_tokens"
    budgets: Sequence[Mapping[str, Any]] = ()  # Any: the limits of token-budget
    output_cap: int | None = None
    functions: Sequence[str] = ()
    """What looks at its calls first, in place of what the service brings."""
    choices: Sequence[Choice] = ()
    """The limits above that depend on who calls."""
    caps: Mapping[str, Any] | None = None  # Any: what a function knows
    """How requests that ask for longer answers than they may have are told."""
    guards: Mapping[str, Any] = field(default_factory=dict)  # Any: configurations of plugins, by name
    rewrite: Mapping[str, Any] = field(default_factory=dict)  # Any: what proxy-rewrite does with an address
    rejection: str | None = None
    """What is said when a limit is used up; without it the service says so."""


@dataclass(frozen=True, slots=True)
class RouteContext(Context):
    """Addresses, and the members behind them."""

    uris: Sequence[str]
    priority: int
    service: str
    plugin_config: str
    instances: Sequence[Instance]
    balancer: Mapping[str, str]
    fallback: Sequence[str]
    timeout_ms: int
    hosts: Sequence[str] = ()
    """The hosts that it answers for; every host without one."""
    methods: Sequence[str] = ("POST",)
    max_body_bytes: int | None = None
    conditions: Sequence[Any] = ()  # Any: expressions of the gateway
    """What must be true of a request, beside its address."""
    exhausted: Sequence[Any] | None = None  # Any: a nested expression of the gateway
    """When every member is used up, the gateway says 503; this expression recognises that case."""
    rejection: str = ""


@dataclass(frozen=True, slots=True)
class RuleServiceContext(Context):
    """What the routes of all forwarding rules share."""

    strip_headers: str
    retry_after: str
    uses: Mapping[str, Any] | None = None  # Any: the configuration of a plugin
    """How the gateway tells when keys were used."""

    @property
    def template(self) -> str:
        return "rule_service.json.j2"


@dataclass(frozen=True, slots=True)
class RuleRouteContext(Context):
    """The addresses of a forwarding rule, and its target."""

    uris: Sequence[str]
    priority: int
    service: str
    plugin_config: str
    hosts: Sequence[str]
    methods: Sequence[str]
    """Every method without one."""
    upstream: Mapping[str, Any]  # Any: an upstream as the gateway takes it

    @property
    def template(self) -> str:
        return "rule_route.json.j2"


@dataclass(frozen=True, slots=True)
class ConsumerContext(Context):
    """A key's owner, as the gateway knows it."""

    username: str
    description: str
    functions: Sequence[str]
    """What looks at its calls before everything that counts them."""
    models: KeyModels | None
    """The models that may answer them."""
    levels: KeyLevels | None
    """What it changes of the limits above the queues."""
    choices: Sequence[Choice] = ()
    """The limits above that depend on who calls."""


@dataclass(frozen=True, slots=True)
class CredentialContext(Context):
    """One of the two header forms in which a key may be sent."""

    secret: Secret
