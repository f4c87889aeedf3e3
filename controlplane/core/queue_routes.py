"""A queue's routes: for its addresses, for each choice of members, and for its name as the body's model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controlplane.core.contexts import Context, Labels, RouteContext
from controlplane.core.desired import Provider, Queue
from controlplane.core.enforcement import Placements
from controlplane.core.instances import member_instance
from controlplane.core.levels import service_id
from controlplane.core.objects import Json, Kind, ObjectKey
from controlplane.core.output_caps import asking_less, member_cap
from controlplane.core.policies import REJECTION, exhausted, policy_id
from controlplane.core.spec import Balancer, MemberSpec, QueueSpec

ADDRESS_PRIORITY = 100
MODEL_PRIORITY = 50
"""Routes picked by the body's model share their paths, so they stand behind those with paths of their own."""


@dataclass(frozen=True, slots=True)
class QueueRoutes:
    """What the routes of one queue have in common."""

    queue: Queue
    placements: Placements
    providers: Mapping[str, Provider]
    labels: Labels
    hosts: list[str]

    def by_address(
        self, number: int, members: Sequence[MemberSpec], uris: Sequence[str]
    ) -> Iterator[Context]:
        """The routes of paths that name the queue; those after the first name some of its members."""
        suffix = f".m{number}" if number else ""
        yield self._route(suffix, members, uris)
        guards = self.queue.spec.guards
        for asking, addresses, conditions in asking_less(members, self.providers, guards, uris):
            yield self._route(f"{suffix or '.'}{asking}", members, addresses, conditions, capped=False)

    def by_model(self, uris: Sequence[str]) -> Iterator[Context]:
        """The routes of plain paths with the queue's name as the body's model."""
        members, guards = self.queue.spec.members, self.queue.spec.guards
        named: list[Json] = [["post_arg.model", "==", self.queue.spec.name]]
        yield self._route(".model", members, uris, named, priority=MODEL_PRIORITY)
        for asking, addresses, conditions in asking_less(members, self.providers, guards, uris):
            conditions = [*named, *conditions]
            yield self._route(
                f".model{asking}", members, addresses, conditions, priority=MODEL_PRIORITY, capped=False
            )

    def _route(
        self,
        suffix: str,
        members: Sequence[MemberSpec],
        uris: Sequence[str],
        conditions: Sequence[Json] = (),
        *,
        priority: int = ADDRESS_PRIORITY,
        capped: bool = True,
    ) -> Context:
        """A route; one without caps stands before the one with them, for requests that ask for less."""
        spec = self.queue.spec
        with_preflight = spec.guards.cors and priority == ADDRESS_PRIORITY and capped
        return RouteContext(
            ObjectKey(Kind.ROUTE, f"q.{spec.name}{suffix}"),
            self.labels,
            f"queue {spec.name}",
            uris=uris,
            priority=priority if capped else priority + 1,
            service=service_id(self.placements.strategy),
            plugin_config=policy_id(spec.name),
            instances=[
                member_instance(
                    member,
                    self.providers[member.provider],
                    member_cap(member, spec.guards) if capped else None,
                )
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
