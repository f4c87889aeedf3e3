"""Desired state to gateway objects: a pure function, the same input always gives the same objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from controlplane.core.abilities import STOCK, Abilities
from controlplane.core.above import Above, KeyLevels, Standing, level_headers
from controlplane.core.addresses import (
    CHAT,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    hosts,
    member_addresses,
    members_by_tail,
    protocols,
    provider_address,
    queue_addresses,
)
from controlplane.core.admission import Admission, consumer_name
from controlplane.core.contexts import (
    ConsumerContext,
    Context,
    CounterStore,
    CredentialContext,
    Labels,
    PolicyContext,
    RouteContext,
    ServiceContext,
)
from controlplane.core.desired import DesiredState, Key, Provider, Queue
from controlplane.core.enforcement import Enforcement, Placements, place, unenforceable
from controlplane.core.instances import direct_instance, member_instance
from controlplane.core.levels import LEVELS_HEADER, SLOTS, STRATEGIES, service_id
from controlplane.core.limits import Meter
from controlplane.core.objects import NAME_LABEL, OWNER_LABEL, SOURCE_LABEL, GatewayObject, Kind, ObjectKey
from controlplane.core.platform import NO_PLATFORM, Platform
from controlplane.core.policies import NOBODY, REJECTION, REMOVED_HEADERS, exhausted, queue_policy
from controlplane.core.render import Renderer
from controlplane.core.report import above_report, enforcement_report
from controlplane.core.secrets import Secret
from controlplane.core.spec import Balancer, MemberSpec, QueueSpec
from controlplane.errors import Problem

ADDRESS_PRIORITY = 100
MODEL_PRIORITY = 50
"""Routes picked by the body's model share their paths, so they stand behind those with paths of their own."""

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

    def hosts(self, tenant: str | None, desired: DesiredState) -> list[str]:
        """The hosts under which what a tenant owns is served; none means every host."""
        return hosts(desired.tenants.get(tenant) if tenant else None, self.base_domain)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The objects that a desired state needs on a gateway, and how its limits are held there."""

    objects: tuple[GatewayObject, ...]
    report: tuple[Enforcement, ...]
    problems: tuple[Problem, ...]
    """What cannot be enforced. A queue with a problem has no objects: it is closed, not unlimited."""


class Compiler:
    """Compiles for one gateway."""

    def __init__(self, renderer: Renderer, target: Target) -> None:
        self._renderer = renderer
        self._target = target

    def compile(self, desired: DesiredState, moment: datetime, abilities: Abilities = STOCK) -> Compiled:
        """All objects of a desired state, as of a moment (keys expire), for a gateway of these abilities."""
        problems = unenforceable(desired, None, abilities, self._target.platform)
        admission = Admission(desired, problems, moment)
        above = Above(desired, self._target.platform)
        contexts: list[Context] = []
        report: list[Enforcement] = []
        strategies: set[Meter] = {Meter.TOKENS}
        for queue in admission.queues():
            placements = place(queue.spec, abilities, counted_above=above.counts(queue))
            strategies.add(placements.strategy)
            openers = admission.openers(queue)
            contexts += self.queue(queue, placements, above.of_queue(queue), desired, openers)
            report += enforcement_report(queue, placements, policy_id(queue.spec.name))
            report += above_report(queue, above.of_queue(queue))
        for provider in admission.providers():
            callers = admission.callers(provider)
            served = self._target.hosts(provider.spec.tenant, desired)
            contexts += self.provider(provider, above.of_provider(provider), callers, served)
        for key in admission.keys:
            contexts += self.key(key, above.of_key(key), moment)
        contexts += [self.service(meter) for meter in STRATEGIES if meter in strategies]
        objects = sorted(
            map(self._renderer.render, contexts), key=lambda item: (item.key.kind.rank, item.key)
        )
        return Compiled(tuple(objects), tuple(report), problems)

    def service(self, meter: Meter) -> Context:
        """The service that holds the levels of every queue whose limits count this kind of tokens."""
        rules = [slot.rule for slot in SLOTS]
        return ServiceContext(
            ObjectKey(Kind.SERVICE, service_id(meter)),
            self._labels(OWN_SOURCE),
            "every queue",
            strategy=STRATEGIES[meter],
            rules=rules,
            levels_variable="http_" + LEVELS_HEADER.lower().replace("-", "_"),
            counters=self._target.counters,
            strip_headers=self._renderer.text("lua/strip_headers.lua"),
            retry_after=self._renderer.text("lua/retry_after.lua"),
            rejection=REJECTION,
            pins={("plugins", "ai-rate-limiting", "rules"): rules},
        )

    def queue(
        self,
        queue: Queue,
        placements: Placements,
        above: Sequence[Standing],
        desired: DesiredState,
        consumers: Sequence[str] | None,
    ) -> list[Context]:
        """A queue: its policy, and routes for its addresses, its model and each choice of members."""
        spec = queue.spec
        labels = self._labels(queue.source, spec.name)
        policy = queue_policy(
            queue,
            placements,
            above,
            object_id=policy_id(spec.name),
            consumers=consumers,
            counters=self._target.counters,
            labels=labels,
        )
        providers = desired.providers
        spoken = protocols(spec.members, providers)
        tails: dict[tuple[MemberSpec, ...], list[str]] = {spec.members: queue_addresses(queue, spoken)}
        for tail, members in members_by_tail(queue, providers).items():
            tails.setdefault(members, []).extend(member_addresses(queue, tail))

        by_model = [protocol for protocol in (CHAT, RESPONSES, EMBEDDINGS, MESSAGES) if protocol in spoken]
        served = self._target.hosts(spec.tenant, desired)
        routes = _Routes(queue, placements, providers, labels, served)
        return [
            policy,
            *(routes.by_address(number, *each) for number, each in enumerate(tails.items())),
            routes.by_model(by_model),
        ]

    def provider(
        self,
        provider: Provider,
        above: Sequence[Standing],
        consumers: Sequence[str],
        served: Sequence[str],
    ) -> list[Context]:
        """A provider's own address, for keys that list it."""
        name = provider.spec.name
        labels = self._labels(provider.source, name)
        set_headers = {"X-Sluice-Provider": provider.id.hex, **level_headers(above)}
        policy = PolicyContext(
            ObjectKey(Kind.PLUGIN_CONFIG, f"p.{name}"),
            labels,
            f"provider {name}",
            consumers=list(consumers) or [NOBODY],
            set_headers=set_headers,
            remove_headers=REMOVED_HEADERS,
            counters=self._target.counters,
            pins={("plugins", "proxy-rewrite", "headers", "set"): set_headers},
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

    def key(self, key: Key, levels: KeyLevels | None, moment: datetime) -> list[Context]:
        """A key: its consumer, and for each text that opens it a credential for the header of each SDK."""
        labels = self._labels(key.source, key.spec.name)
        username = consumer_name(key)
        declared_by = f"key {key.spec.name}"

        def credentials(secret: Secret, suffix: str = "") -> list[Context]:
            forms = {"bearer": "Bearer ", "raw": ""}
            return [
                CredentialContext(
                    ObjectKey(Kind.CREDENTIAL, f"{username}/{form}{suffix}"),
                    labels,
                    declared_by,
                    secret=secret.with_prefix(prefix),
                )
                for form, prefix in forms.items()
            ]

        consumer = ConsumerContext(
            ObjectKey(Kind.CONSUMER, username),
            labels,
            declared_by,
            username=username,
            description=key.spec.name,
            levels=levels,
            levels_function=self._renderer.text("lua/key_levels.lua"),
            pins={} if levels is None else {(*_FUNCTION, "set_headers"): levels.set_headers},
        )
        old = (credentials(text.secret, f".{text.mark}") for text in key.old_texts_at(moment))
        return [consumer, *credentials(key.secret), *chain.from_iterable(old)]

    def _labels(self, source: str, name: str | None = None) -> Labels:
        labels = {OWNER_LABEL: self._target.owner, SOURCE_LABEL: source}
        return labels if name is None else {**labels, NAME_LABEL: name}


@dataclass(frozen=True, slots=True)
class _Routes:
    """What the routes of one queue have in common."""

    queue: Queue
    placements: Placements
    providers: Mapping[str, Provider]
    labels: Labels
    hosts: list[str]

    def by_address(self, number: int, members: Sequence[MemberSpec], uris: Sequence[str]) -> Context:
        """A route for paths that name the queue; those after the first name some of its members."""
        return self._route(f".m{number}" if number else "", members, uris)

    def by_model(self, uris: Sequence[str]) -> Context:
        """The route for plain paths with the queue's name as the body's model."""
        return self._route(".model", self.queue.spec.members, uris, self.queue.spec.name)

    def _route(
        self, suffix: str, members: Sequence[MemberSpec], uris: Sequence[str], model: str | None = None
    ) -> Context:
        spec = self.queue.spec
        return RouteContext(
            ObjectKey(Kind.ROUTE, f"q.{spec.name}{suffix}"),
            self.labels,
            f"queue {spec.name}",
            uris=uris,
            priority=ADDRESS_PRIORITY if model is None else MODEL_PRIORITY,
            service=service_id(self.placements.strategy),
            plugin_config=policy_id(spec.name),
            instances=[member_instance(m, self.providers[m.provider], spec.guards) for m in members],
            balancer=_balancer(spec),
            fallback=[strategy.value for strategy in spec.fallback],
            timeout_ms=round(spec.timeout_s * 1000),
            hosts=self.hosts,
            methods=("POST", "OPTIONS") if spec.guards.cors and model is None else ("POST",),
            max_body_bytes=spec.guards.max_body_bytes,
            model=model,
            exhausted=exhausted(self.queue, self.placements, members),
            rejection=REJECTION,
            pins={
                ("hosts",): self.hosts or None,
                ("plugins", "ai-proxy-multi", "max_req_body_size"): spec.guards.max_body_bytes,
            },
        )


def _balancer(spec: QueueSpec) -> dict[str, str]:
    if spec.balancer is not Balancer.CHASH:
        return {"algorithm": "roundrobin"}
    if spec.hash_on:
        return {"algorithm": "chash", "hash_on": "header", "key": spec.hash_on}
    return {"algorithm": "chash", "hash_on": "vars", "key": "remote_addr"}


_FUNCTION = ("plugins", "serverless-pre-function")


def policy_id(queue: str) -> str:
    return f"q.{queue}"
