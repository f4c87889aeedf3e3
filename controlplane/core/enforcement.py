"""Where each limit is enforced: which mechanism of the gateway, how exact, and what an edit costs.

`place` decides for one queue. A limit that a gateway cannot enforce becomes a problem that names the
field and the remedy; it is never left out in silence.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from controlplane.core.abilities import STOCK, WITH_BUDGETS, Abilities
from controlplane.core.levels import QUEUE, QUEUE_HEADER, QUEUE_KEY, Slot
from controlplane.core.limits import Limit, Meter, Mode, Then
from controlplane.core.spec import Balancer, Fallback, MemberSpec, QueueSpec
from controlplane.errors import Problem


class Mechanism(StrEnum):
    """What of the gateway holds a limit."""

    LEVEL = "ai-rate-limiting rule"
    MEMBER = "ai-rate-limiting instance"
    COUNT = "limit-count rule"
    BUCKET = "limit-req"
    CONCURRENCY = "limit-conn rule"
    BUDGET = "token-budget limit"


@dataclass(frozen=True, slots=True)
class Placement:
    """A limit and the mechanism that holds it."""

    path: str
    """Where the limit is declared, such as `limits[0]` or `members[1].limits[0]`."""
    limit: Limit
    mechanism: Mechanism
    slot: Slot | None = None
    member: MemberSpec | None = None
    number: int = 0
    """Which of its mechanism's rules on this queue it is, from 1."""


@dataclass(frozen=True, slots=True)
class Placements:
    """All limits of one queue, placed; or the problems that stand against it."""

    placed: tuple[Placement, ...] = ()
    problems: tuple[Problem, ...] = ()
    strategy: Meter = Meter.TOKENS
    """Which tokens the queue's limits count: one kind for all of them."""

    def of(self, mechanism: Mechanism) -> tuple[Placement, ...]:
        return tuple(placement for placement in self.placed if placement.mechanism is mechanism)


@dataclass(frozen=True, slots=True)
class Enforcement:
    """A line of the enforcement report: a limit of a queue or of a rule, or one that spans queues."""

    queue: str | None
    path: str
    limit: str
    mechanism: str
    object: str
    shared_with: str
    exactness: str
    worst_overshoot: str
    edit: str
    rule: str | None = None


_LATER = "a later release of Sluice enforces it; remove it until then"
_ONE_KIND = "on a stock APISIX a queue counts one kind of tokens: tokens, prompt_tokens or completion_tokens"
_MEMBERS_OR_LEVELS = (
    "a stock APISIX cannot hold members' token limits and the queue's own on one queue; "
    f"keep one of the two, or use {WITH_BUDGETS}"
)
_MEMBERS_OR_ABOVE = (
    "limits of a tenant, key or provider count this queue's tokens, "
    "and a stock APISIX cannot hold its members' token limits beside them"
)
_ONLY_ONE_OF_THEM = f"keep one of the two, or use {WITH_BUDGETS}"
_TOKENS_ABOVE = "limits of a tenant, key or provider count all of this queue's tokens"


def place(queue: QueueSpec, abilities: Abilities = STOCK, *, counted_above: bool = False) -> Placements:
    """Choose a mechanism for every limit of a queue: a stock APISIX's, where those can hold all of it.

    `counted_above` says that limits above the queue count its tokens, too.
    """
    if any(member.limits for member in queue.members):
        return _chosen(queue, abilities, counted_above=counted_above)
    return _alike(_Limited(queue.limits, queue.balancer, queue.fallback), abilities, counted_above)


@dataclass(frozen=True, slots=True)
class _Limited:
    """What decides about the limits of a queue whose members have none: the same of very many queues."""

    limits: tuple[Limit, ...]
    balancer: Balancer
    fallback: tuple[Fallback, ...]
    members: tuple[MemberSpec, ...] = ()


@lru_cache(maxsize=1000)
def _alike(queue: _Limited, abilities: Abilities, counted_above: bool) -> Placements:
    return _chosen(queue, abilities, counted_above=counted_above)


def _chosen(queue: QueueSpec | _Limited, abilities: Abilities, *, counted_above: bool) -> Placements:
    stock = _place(queue, _Placer(), counted_above=counted_above)
    if stock.problems and abilities.token_budget:
        return _place(queue, _BudgetPlacer(), counted_above=counted_above)
    return stock


def _place(queue: QueueSpec | _Limited, placer: "_Placer", *, counted_above: bool) -> Placements:
    problems = [*_unsupported_parts(queue)]
    for index, limit in enumerate(queue.limits):
        placer.queue_limit(f"limits[{index}]", limit)
    for position, member in enumerate(queue.members):
        for index, limit in enumerate(member.limits):
            placer.member_limit(f"members[{position}].limits[{index}]", limit, member)
    problems += placer.problems
    problems += _clashes(placer.placed, queue)
    if counted_above:
        problems += _clashes_above(placer.placed)
    if problems:
        return Placements(problems=tuple(problems))
    stock = [placed for placed in placer.placed if placed.mechanism is not Mechanism.BUDGET]
    meters = [placed.limit.meter for placed in stock if placed.limit.meter.counts_tokens]
    return Placements(tuple(placer.placed), strategy=meters[0] if meters else Meter.TOKENS)


@dataclass
class _Placer:
    placed: list[Placement] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def queue_limit(self, path: str, limit: Limit) -> None:
        if problem := nowhere(path, limit) or _not_on_stock(path, limit):
            self.problems.append(problem)
        elif limit.then is not Then.REJECT:
            self._refuse(path, "then", f"`then: {limit.then}` on a queue is not enforced yet", _LATER)
        elif limit.meter is Meter.CONCURRENCY:
            self._add(path, limit, Mechanism.CONCURRENCY)
        elif limit.meter is Meter.REQUESTS:
            bucket = limit.refill_per_s is not None
            self._add(path, limit, Mechanism.BUCKET if bucket else Mechanism.COUNT)
        else:
            self._level(path, limit)

    def member_limit(self, path: str, limit: Limit, member: MemberSpec) -> None:
        if problem := nowhere(path, limit) or _not_on_stock(path, limit):
            self.problems.append(problem)
        elif limit.then is Then.ALERT:
            self._refuse(path, "then", "`then: alert` on a member is not enforced yet", _LATER)
        elif not limit.meter.counts_tokens:
            remedy = f"declare {limit.meter} on the queue"
            self._refuse(path, limit.meter, "a member's limit counts tokens on a stock APISIX", remedy)
        elif limit.by is not None:
            self._refuse(path, "by", "a member's limit is shared by all its callers", "remove `by`")
        else:
            self._add(path, limit, Mechanism.MEMBER, member=member)

    def _level(self, path: str, limit: Limit) -> None:
        slots = QUEUE if limit.by is None else QUEUE_KEY if limit.by == "key" else QUEUE_HEADER
        taken = sum(placement.slot in slots for placement in self.placed)
        if taken == len(slots):
            what = "of this kind" if limit.by is None else f"with `by: {limit.by.partition(':')[0]}`"
            self._refuse(
                path, limit.meter, f"a queue has at most {len(slots)} token windows {what}", "remove one"
            )
            return
        self._add(path, limit, Mechanism.LEVEL, slot=slots[taken])

    def _add(
        self,
        path: str,
        limit: Limit,
        mechanism: Mechanism,
        *,
        slot: Slot | None = None,
        member: MemberSpec | None = None,
    ) -> None:
        number = 1 + sum(placement.mechanism is mechanism for placement in self.placed)
        self.placed.append(Placement(path, limit, mechanism, slot, member, number))

    def _refuse(self, path: str, name: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(f"{path}.{name}", message, remedy))


class _BudgetPlacer(_Placer):
    """For a gateway with token-budget: tokens and slots go there, in one reservation, and so does what stock
    cannot hold.
    """

    def queue_limit(self, path: str, limit: Limit) -> None:
        requests = limit.meter is Meter.REQUESTS
        if requests and not _not_on_stock(path, limit) and not self._is_second(limit):
            super().queue_limit(path, limit)
        elif problem := nowhere(path, limit):
            self.problems.append(problem)
        elif limit.then is not Then.REJECT:
            self._refuse(path, "then", f"`then: {limit.then}` on a queue is not enforced yet", _LATER)
        else:
            self._add(path, limit, Mechanism.BUDGET)

    def member_limit(self, path: str, limit: Limit, member: MemberSpec) -> None:
        if problem := nowhere(path, limit):
            self.problems.append(problem)
        elif limit.then is Then.ALERT:
            self._refuse(path, "then", "`then: alert` on a member is not enforced yet", _LATER)
        else:
            self._add(path, limit, Mechanism.BUDGET, member=member)

    def _is_second(self, limit: Limit) -> bool:
        """limit-req holds one bucket of requests for a queue; token-budget any number."""
        bucket = limit.refill_per_s is not None
        return bucket and any(item.mechanism is Mechanism.BUCKET for item in self.placed)


def nowhere(path: str, limit: Limit) -> Problem | None:
    """What no gateway holds."""
    if limit.meter is Meter.USD:
        return Problem(f"{path}.usd", "money budgets are not enforced yet", _LATER)
    if limit.by in ("tenant", "model"):
        return Problem(f"{path}.by", f"`by: {limit.by}` is not enforced yet", _LATER)
    return None


def _not_on_stock(path: str, limit: Limit) -> Problem | None:
    """What a stock APISIX has no plugin for, whoever declares it."""
    if limit.is_calendar:
        remedy = f"use a window of fixed length, such as 1d, or {WITH_BUDGETS}"
        return Problem(f"{path}.per", "a stock APISIX has no calendar windows", remedy)
    if limit.mode is Mode.SLIDING:
        remedy = f"use `mode: fixed`, or {WITH_BUDGETS}"
        return Problem(f"{path}.mode", "a stock APISIX has no sliding windows", remedy)
    if limit.strict:
        remedy = f"remove `strict`, or use {WITH_BUDGETS}"
        return Problem(f"{path}.strict", "a stock APISIX charges after the call", remedy)
    if limit.meter.counts_tokens and limit.refill_per_s is not None:
        remedy = f"use a window (`per`), or {WITH_BUDGETS}"
        return Problem(f"{path}.refill_per_s", "a stock APISIX has no buckets of tokens", remedy)
    return None


def _unsupported_parts(queue: QueueSpec | _Limited) -> Iterator[Problem]:
    if queue.balancer in (Balancer.SEMANTIC, Balancer.SCORE):
        remedy = "use roundrobin or chash"
        yield Problem("balancer", f"`balancer: {queue.balancer}` is not available yet", remedy)


def _clashes(placed: Sequence[Placement], queue: QueueSpec | _Limited) -> Iterator[Problem]:
    """Limits that are fine alone and cannot be held together."""
    stock = [item for item in placed if item.mechanism is not Mechanism.BUDGET]
    tokens = [item for item in stock if item.limit.meter.counts_tokens]
    kinds = {item.limit.meter for item in tokens}
    if len(kinds) > 1:
        odd = next(item for item in tokens if item.limit.meter is not tokens[0].limit.meter)
        yield Problem(f"{odd.path}.{odd.limit.meter}", _ONE_KIND, f"use {tokens[0].limit.meter} throughout")
    members = [item for item in placed if item.mechanism is Mechanism.MEMBER]
    levels = [item for item in placed if item.mechanism is Mechanism.LEVEL]
    if members and levels:
        yield Problem(f"{members[0].path}.{members[0].limit.meter}", _MEMBERS_OR_LEVELS)
    yield from _more_than_one(members, "a member has one token window on a stock APISIX", by_member=True)
    buckets = [item for item in placed if item.mechanism is Mechanism.BUCKET]
    yield from _more_than_one(buckets, "a queue has one bucket of requests")
    for item in placed:
        if item.member and item.limit.then is Then.FALLBACK and Fallback.RATE_LIMITING not in queue.fallback:
            remedy = "add rate_limiting to the queue's `fallback`"
            yield Problem(f"{item.path}.then", "`then: fallback` needs the queue to fall back", remedy)
    yield from _twins(placed)


def _more_than_one(items: Iterable[Placement], message: str, *, by_member: bool = False) -> Iterator[Problem]:
    seen: set[str] = set()
    for item in items:
        owner = item.member.name if by_member and item.member else ""
        if owner in seen:
            yield Problem(f"{item.path}.{item.limit.meter}", message, "remove one")
        seen.add(owner)


def _twins(placed: Iterable[Placement]) -> Iterator[Problem]:
    """Two limits that would share a counter and charge it twice."""
    kept: dict[tuple[Mechanism, str | None], list[tuple[str, Limit]]] = {}
    for item in placed:
        if item.mechanism is not Mechanism.BUCKET:
            owner = (item.mechanism, item.member.name if item.member else None)
            kept.setdefault(owner, []).append((item.path, item.limit))
    for limits in kept.values():
        yield from twin_problems(limits)


def twin_problems(limits: Iterable[tuple[str, Limit]]) -> Iterator[Problem]:
    """Of limits with the places where they are declared, those that count the same as one before them."""
    seen: dict[tuple[object, ...], str] = {}
    for path, limit in limits:
        pace = limit.per if limit.is_calendar else limit.window_s
        twin = seen.setdefault((limit.meter, pace, limit.by), path)
        if twin != path:
            yield Problem(f"{path}.{limit.meter}", f"counts the same as {twin}", "keep the smaller one")


def _clashes_above(placed: Sequence[Placement]) -> Iterator[Problem]:
    """Limits that would keep a call from being counted by those above the queue."""
    for item in placed:
        if item.mechanism is Mechanism.MEMBER:
            yield Problem(f"{item.path}.{item.limit.meter}", _MEMBERS_OR_ABOVE, _ONLY_ONE_OF_THEM)
        elif item.mechanism is Mechanism.LEVEL and item.limit.meter is not Meter.TOKENS:
            remedy = f"use tokens, or {WITH_BUDGETS}"
            yield Problem(f"{item.path}.{item.limit.meter}", _TOKENS_ABOVE, remedy)
