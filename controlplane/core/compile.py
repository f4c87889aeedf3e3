"""Desired state to gateway objects: a pure function, the same input always gives the same objects."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain

from controlplane.core.abilities import STOCK, Abilities
from controlplane.core.above import Above
from controlplane.core.accounts import Account, limits_of
from controlplane.core.addresses import (
    CHAT,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    hosts,
    member_addresses,
    members_by_tail,
    names_of,
    protocols,
    provider_address,
    queue_addresses,
)
from controlplane.core.admission import Admission, consumer_name
from controlplane.core.budgets import account_budgets, output_cap
from controlplane.core.compiled import EVERY_QUEUE, EVERY_RULE, Compiled
from controlplane.core.contexts import (
    ConsumerContext,
    Context,
    CounterStore,
    CredentialContext,
    Labels,
    Pins,
    PolicyContext,
    RouteContext,
    RuleServiceContext,
    ServiceContext,
)
from controlplane.core.desired import DesiredState, Key, Provider, Queue, Rule
from controlplane.core.forwarding import Forwarding, forwarding_of, rule_problems
from controlplane.core.instances import direct_instance
from controlplane.core.key_models import KeyModels, model_problems, models_of
from controlplane.core.levels import LEVELS_HEADER, SLOTS, STRATEGIES, service_id
from controlplane.core.limits import Meter
from controlplane.core.memory import Memory
from controlplane.core.objects import (
    NAME_LABEL,
    OWNER_LABEL,
    SOURCE_LABEL,
    GatewayObject,
    Json,
    Kind,
    ObjectKey,
)
from controlplane.core.placing import Placed, place_among
from controlplane.core.platform import NO_PLATFORM, Platform
from controlplane.core.policies import (
    NOBODY,
    REJECTION,
    REMOVED_HEADERS,
    bucket_budgets,
    function_pins,
    policy_id,
    queue_policy,
    with_those_above,
)
from controlplane.core.queue_routes import ADDRESS_PRIORITY, QueueRoutes
from controlplane.core.render import Renderer
from controlplane.core.rotation import OldText, suffix
from controlplane.core.rule_contexts import FORWARDING_SERVICE, RuleCompiler
from controlplane.core.secrets import Secret
from controlplane.core.selection import served_at
from controlplane.core.spec import MemberSpec
from controlplane.core.standing import KeyLevels, Standing, choices, level_headers
from controlplane.core.uses import UsesAddress, uses_logger
from controlplane.core.validation import ValidationAddress, validation_problems
from controlplane.errors import Problem

OWN_SOURCE = "sluice"
"""The source of objects that belong to no declaration, such as the shared service."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the compiler must know of a gateway."""

    owner: str
    counters: CounterStore = field(default_factory=CounterStore)
    base_domain: str | None = None
    """The domain whose subdomains are the tenants'."""
    platform: Platform = NO_PLATFORM
    validation: ValidationAddress | None = None
    """Where it asks for external validators."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What queues select it by."""
    uses: UsesAddress | None = None
    """Where it tells when keys were used, if it is asked to."""

    def hosts(self, tenant: str | None, desired: DesiredState) -> list[str]:
        """The hosts under which what a tenant owns is served; none means every host."""
        return hosts(desired.tenants.get(tenant) if tenant else None, self.base_domain)

    def rule_hosts(self, rule: Rule, desired: DesiredState) -> list[str]:
        """The hosts that a forwarding rule answers for; none means every host."""
        return list(rule.spec.hosts) or self.hosts(rule.spec.tenant, desired)


class Compiler:
    """Compiles for one gateway."""

    def __init__(self, renderer: Renderer, target: Target) -> None:
        self._renderer = renderer
        self._target = target

    def compile(
        self,
        desired: DesiredState,
        moment: datetime,
        abilities: Abilities = STOCK,
        memory: Memory | None = None,
    ) -> Compiled:
        """All objects of a desired state, as of a moment (keys expire), for a gateway of these abilities.

        With a memory of earlier results only what changed is made anew; the result is the same without one.
        """
        memory = Memory() if memory is None else memory
        desired = served_at(desired, self._target.labels)
        above = Above(desired, self._target.platform, abilities)
        queues = desired.queues.items()
        placed = {name: place_among(queue, above, abilities, memory) for name, queue in queues}
        of_queues = (item for each in placed.values() for item in each.problems)
        served = {name: self._target.rule_hosts(rule, desired) for name, rule in desired.rules.items()}
        of_rules = (*rule_problems(desired, hosts=served), *self._validation_problems(desired))
        problems = (*of_queues, *above.problems(), *model_problems(desired), *of_rules)
        admission = Admission(desired, problems, moment)
        made: dict[str, tuple[GatewayObject, ...]] = {}

        def keep(name: str, contexts: Callable[..., Iterable[Context]], *inputs: object) -> None:
            made[name] = memory.recall("made", name, inputs, lambda: self._rendered(contexts(*inputs)))

        strategies: set[Meter] = {Meter.TOKENS}
        for queue in admission.queues():
            where = placed[queue.spec.name]
            strategies.add(where.placements.strategy)
            make = partial(self.queue, queue, desired)
            keep(f"queue {queue.spec.name}", make, where, admission.openers(queue), above.has_buckets)
        for provider in admission.providers():
            inputs = (
                above.of_provider(provider),
                above.account(provider),
                above.has_buckets,
                admission.callers(provider),
                self._target.hosts(provider.spec.tenant, desired),
            )
            keep(f"provider {provider.spec.name}", self.provider, provider, *inputs)
        forwardings: dict[str, Forwarding] = {}
        for rule in admission.rules():
            callers = admission.rule_callers(rule)
            forwarding = forwardings[rule.spec.name] = forwarding_of(rule, desired)
            ways = (forwarding, callers, self._target.rule_hosts(rule, desired))
            keep(f"rule {rule.spec.name}", self.rule, *ways)
        if desired.rules:
            keep(EVERY_RULE, self.forwarding_service)
        for key in admission.keys:
            models, old_texts = models_of(key, desired), key.old_texts_at(moment)
            keep(f"key {key.spec.name}", self.key, key, above.of_key(key), models, old_texts)
        counted = tuple(meter for meter in STRATEGIES if meter in strategies)
        keep(EVERY_QUEUE, self.services, counted, above.has_buckets)
        return Compiled(made, placed, problems, forwardings)

    def _rendered(self, contexts: Iterable[Context]) -> tuple[GatewayObject, ...]:
        return tuple(map(self._renderer.render, contexts))

    def services(self, meters: Iterable[Meter], with_buckets: bool = False) -> list[Context]:
        """The services that hold the levels of every queue, one for each kind of tokens that is counted."""
        return [self._service(meter, bucket_budgets(with_buckets=with_buckets)) for meter in meters]

    def _service(self, meter: Meter, budgets: Sequence[Mapping[str, Json]]) -> Context:
        rules, uses = [slot.rule for slot in SLOTS], self._uses()
        return ServiceContext(
            ObjectKey(Kind.SERVICE, service_id(meter)),
            self._labels(OWN_SOURCE),
            EVERY_QUEUE,
            strategy=STRATEGIES[meter],
            rules=rules,
            levels_variable="http_" + LEVELS_HEADER.lower().replace("-", "_"),
            counters=self._target.counters,
            strip_headers=self._renderer.text("lua/strip_headers.lua"),
            retry_after=self._renderer.text("lua/retry_after.lua"),
            rejection=REJECTION,
            uses=uses,
            budgets=budgets,
            pins={
                ("plugins", "ai-rate-limiting", "rules"): rules,
                ("plugins", "token-budget", "limits"): budgets or None,
                **_pinned(uses),
            },
        )

    def _functions(self, *, chooses: bool, caps: bool = False) -> list[str]:
        """What looks at calls first where the service's own function, the first of them, is not enough."""
        names = [*(["choose_levels"] if chooses else []), *(["cap_output"] if caps else [])]
        return [self._renderer.text(f"lua/{name}.lua") for name in ("strip_headers", *names) if names]

    def _uses(self) -> Mapping[str, Json] | None:
        return None if self._target.uses is None else uses_logger(self._target.uses)

    def _validation_problems(self, desired: DesiredState) -> Iterator[Problem]:
        for name, rule in desired.rules.items():
            for item in validation_problems(forwarding_of(rule, desired), self._target.validation):
                yield Problem(f"rules.{name}.{item.field}", item.message, item.remedy)

    def forwarding_service(self) -> list[Context]:
        """The service that all forwarding rules share."""
        uses = self._uses()
        service = RuleServiceContext(
            ObjectKey(Kind.SERVICE, FORWARDING_SERVICE),
            self._labels(OWN_SOURCE),
            EVERY_RULE,
            strip_headers=self._renderer.text("lua/strip_headers.lua"),
            retry_after=self._renderer.text("lua/retry_after.lua"),
            uses=uses,
            pins=_pinned(uses),
        )
        return [service]

    def rule(
        self, forwarding: Forwarding, consumers: Sequence[str] | None, served: Sequence[str]
    ) -> list[Context]:
        """A forwarding rule: its policy, and the route to its target."""
        rule = forwarding.rule
        labels = self._labels(rule.source, rule.spec.name)
        made = RuleCompiler(forwarding, labels, self._target.counters, self._target.validation)
        return [made.policy(consumers), made.route(served)]

    def queue(
        self,
        queue: Queue,
        desired: DesiredState,
        placed: Placed,
        consumers: Sequence[str] | None,
        with_buckets: bool = False,
    ) -> list[Context]:
        """A queue: its policy, and routes for its addresses, its model and each choice of members."""
        spec = queue.spec
        labels = self._labels(queue.source, spec.name)
        providers = desired.providers
        spoken, names = protocols(spec.members, providers), names_of(queue)
        # Told apart by their names, for those are hashed fast.
        reached = {_names(spec.members): (spec.members, queue_addresses(names, spoken))}
        for tail, members in members_by_tail(queue, providers).items():
            _, uris = reached.setdefault(_names(members), (members, []))
            uris += member_addresses(names, tail)
        plain = [protocol for protocol in (CHAT, RESPONSES, EMBEDDINGS, MESSAGES) if protocol in spoken]
        served = self._target.hosts(spec.tenant, desired)
        routes = QueueRoutes(
            queue, placed.placements, providers, labels, served, tuple(reached.values()), plain
        )
        policy = queue_policy(
            queue,
            placed.placements,
            placed.above,
            placed.accounts,
            object_id=policy_id(spec.name),
            functions=self._functions,
            caps=routes.caps(),
            with_buckets=with_buckets,
            consumers=consumers,
            counters=self._target.counters,
            labels=labels,
        )
        return [policy, *routes.contexts()]

    def provider(
        self,
        provider: Provider,
        above: Sequence[Standing],
        accounts: Sequence[Account],
        with_buckets: bool,
        consumers: Sequence[str],
        served: Sequence[str],
    ) -> list[Context]:
        """A provider's own address, for keys that list it."""
        name = provider.spec.name
        labels = self._labels(provider.source, name)
        set_headers = {"X-Sluice-Provider": provider.id.hex, **level_headers(above)}
        chosen = choices(above)
        functions = self._functions(chooses=bool(chosen))
        budgets = with_those_above(account_budgets(accounts), with_buckets=with_buckets)
        policy = PolicyContext(
            ObjectKey(Kind.PLUGIN_CONFIG, f"p.{name}"),
            labels,
            f"provider {name}",
            consumers=list(consumers) or [NOBODY],
            set_headers=set_headers,
            remove_headers=REMOVED_HEADERS,
            counters=self._target.counters,
            budgets=budgets,
            output_cap=output_cap(None, limits_of(accounts)),
            functions=functions,
            choices=chosen,
            pins={
                ("plugins", "proxy-rewrite", "headers", "set"): set_headers,
                ("plugins", "token-budget", "limits"): budgets or None,
                **function_pins(functions, chosen),
            },
        )
        route = RouteContext(
            ObjectKey(Kind.ROUTE, f"p.{name}"),
            labels,
            f"provider {name}",
            uris=[provider_address(provider)],
            priority=ADDRESS_PRIORITY,
            service=service_id(Meter.TOKENS),
            plugin_config=f"p.{name}",
            instances=[direct_instance(provider)],
            balancer={"algorithm": "roundrobin"},
            fallback=[],
            timeout_ms=60_000,
            hosts=served,
        )
        return [policy, route]

    def key(
        self, key: Key, levels: KeyLevels | None, models: KeyModels | None, old_texts: Iterable[OldText]
    ) -> list[Context]:
        """A key: its consumer, and for each text that opens it a credential for the header of each SDK."""
        labels = self._labels(key.source, key.spec.name)
        username = consumer_name(key)
        declared_by = f"key {key.spec.name}"

        def credentials(secret: Secret, *, rotated: bool) -> list[Context]:
            forms, end = {"bearer": "Bearer ", "raw": ""}, suffix(secret, rotated=rotated)
            return [
                CredentialContext(
                    ObjectKey(Kind.CREDENTIAL, f"{username}/{form}{end}"),
                    labels,
                    declared_by,
                    secret=secret.with_prefix(prefix),
                )
                for form, prefix in forms.items()
            ]

        chosen = levels.choices if levels is not None else ()
        functions = [
            self._renderer.text(f"lua/{name}.lua")
            for name, needed in (
                ("key_models", models is not None),
                ("key_levels", levels is not None),
                ("choose_levels", bool(chosen)),
            )
            if needed
        ]
        consumer = ConsumerContext(
            ObjectKey(Kind.CONSUMER, username),
            labels,
            declared_by,
            username=username,
            description=key.spec.name,
            functions=functions,
            models=models,
            levels=levels,
            choices=chosen,
            pins={
                (*_FUNCTION, "functions"): functions or None,
                (*_FUNCTION, "models"): models and models.models,
                (*_FUNCTION, "fixed"): models and models.fixed,
                (*_FUNCTION, "set_headers"): levels and levels.set_headers,
                (*_FUNCTION, "choices"): chosen or None,
            },
        )
        old = (credentials(text.secret, rotated=text.rotated) for text in old_texts)
        return [consumer, *credentials(key.secret, rotated=key.rotated), *chain.from_iterable(old)]

    def _labels(self, source: str, name: str | None = None) -> Labels:
        labels = {OWNER_LABEL: self._target.owner, SOURCE_LABEL: source}
        return labels if name is None else {**labels, NAME_LABEL: name}


def _names(members: Sequence[MemberSpec]) -> tuple[str, ...]:
    return tuple([member.name for member in members])


def _pinned(uses: Mapping[str, Json] | None) -> Pins:
    """Templates of an operator may have an http-logger of their own where keys' uses are not told."""
    return {} if uses is None else {("plugins", "http-logger"): uses}


_FUNCTION = ("plugins", "serverless-pre-function")
