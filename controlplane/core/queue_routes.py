"""A queue's routes: for its addresses, for each choice of members, and for its name as the body's model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from controlplane.core.contexts import Context, Instance, Labels, RouteContext
from controlplane.core.desired import Provider, Queue
from controlplane.core.enforcement import Placements
from controlplane.core.instances import member_instance
from controlplane.core.levels import service_id
from controlplane.core.objects import Json, Kind, ObjectKey
from controlplane.core.output_caps import asking_less, common_cap, filled_in, function_caps, member_cap
from controlplane.core.policies import REJECTION, exhausted, policy_id
from controlplane.core.spec import Balancer, MemberSpec, QueueSpec

ADDRESS_PRIORITY = 100
MODEL_PRIORITY = 50
"""Routes picked by the body's model share their paths, so they stand behind those with paths of their own."""
_MODEL = ".model"


@dataclass(frozen=True)
class QueueRoutes:
    """The routes of one queue: of its addresses, of those that name some members, and of plain paths."""

    queue: Queue
    placements: Placements
    providers: Mapping[str, Provider]
    labels: Labels
    hosts: list[str]
    addresses: Sequence[tuple[tuple[MemberSpec, ...], list[str]]]
    """Paths by whom they reach; the first are the queue's own and reach all of its members."""
    plain: Sequence[str]
    """Paths that name no queue: its name is the body's model."""

    def contexts(self) -> Iterator[Context]:
        for suffix, members, uris in self._choices():
            conditions, priority = self._named(suffix)
            yield self._route(suffix, members, uris, conditions, priority=priority)
            if not self._capped_apart:
                continue
            for asking, some, less in asking_less(members, self.providers, self.queue.spec.guards, uris):
                ending = f"{suffix or '.'}{asking}"
                yield self._route(
                    ending, members, some, [*conditions, *less], priority=priority, capped=False
                )

    def caps(self) -> Mapping[str, Json] | None:
        """What the function that caps requests must know; None where it has nothing to do."""
        if self._cap is None:
            return None
        among = {self._id(suffix): self._providers(members) for suffix, members, _ in self._choices()}
        return function_caps(self._cap, self.queue.spec.guards, among)

    def _choices(self) -> Iterator[tuple[str, tuple[MemberSpec, ...], Sequence[str]]]:
        """How the id of each route ends, whom it reaches, and its paths."""
        for number, (members, uris) in enumerate(self.addresses):
            yield f".m{number}" if number else "", members, uris
        yield _MODEL, self.queue.spec.members, self.plain

    def _named(self, suffix: str) -> tuple[list[Json], int]:
        if suffix != _MODEL:
            return [], ADDRESS_PRIORITY
        return [["post_arg.model", "==", self.queue.spec.name]], MODEL_PRIORITY

    @cached_property
    def _cap(self) -> int | None:
        return common_cap(self.queue.spec)

    @cached_property
    def _capped_apart(self) -> bool:
        """Whether members have caps, and not all of them the same one."""
        spec = self.queue.spec
        return self._cap is None and any(member_cap(each, spec.guards) is not None for each in spec.members)

    @cached_property
    def _instances(self) -> Mapping[str, Instance]:
        """The members without their caps, by name; all routes that reach them have these in common."""
        members = self.queue.spec.members
        return {member.name: member_instance(member, self.providers[member.provider]) for member in members}

    def _id(self, suffix: str) -> str:
        return f"q.{self.queue.spec.name}{suffix}"

    def _providers(self, members: Sequence[MemberSpec]) -> list[Provider]:
        return [self.providers[member.provider] for member in members]

    def _capped(self, member: MemberSpec, members: Sequence[MemberSpec]) -> Instance:
        """A member with its cap, on a route that reaches these."""
        instance = self._instances[member.name]
        if self._cap is not None:
            caps = filled_in(self.providers[member.provider], self._providers(members), self._cap)
        elif self._capped_apart and (cap := member_cap(member, self.queue.spec.guards)) is not None:
            caps = {"llm_options": {"max_tokens": cap}}
        else:
            return instance
        return replace(instance, override={**instance.override, **caps})

    def _route(
        self,
        suffix: str,
        members: Sequence[MemberSpec],
        uris: Sequence[str],
        conditions: Sequence[Json],
        *,
        priority: int,
        capped: bool = True,
    ) -> Context:
        """A route; one without caps stands before the one with them, for requests that ask for less."""
        spec = self.queue.spec
        with_preflight = spec.guards.cors and priority == ADDRESS_PRIORITY and capped
        return RouteContext(
            ObjectKey(Kind.ROUTE, self._id(suffix)),
            self.labels,
            f"queue {spec.name}",
            uris=uris,
            priority=priority if capped else priority + 1,
            service=service_id(self.placements.strategy),
            plugin_config=policy_id(spec.name),
            instances=[
                self._capped(member, members) if capped else self._instances[member.name]
                for member in members
            ],
            balancer=_balancer(spec),
            fallback=[strategy.value for strategy in spec.fallback],
            timeout_ms=round(spec.timeout_s * 1000),
            hosts=self.hosts,
            methods=("POST", "OPTIONS") if with_preflight else ("POST",),
            max_body_bytes=spec.guards.max_body_bytes,
            conditions=conditions,
            exhausted=exhausted(self.queue, self.placements, members),
            rejection=REJECTION,
            pins={
                ("hosts",): self.hosts or None,
                ("vars",): conditions or None,
                ("plugins", "ai-proxy-multi", "max_req_body_size"): spec.guards.max_body_bytes,
            },
        )


def _balancer(spec: QueueSpec) -> dict[str, str]:
    if spec.balancer is not Balancer.CHASH:
        return {"algorithm": "roundrobin"}
    if spec.hash_on:
        return {"algorithm": "chash", "hash_on": "header", "key": spec.hash_on}
    return {"algorithm": "chash", "hash_on": "vars", "key": "remote_addr"}
