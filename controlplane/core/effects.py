"""What a change means for those who call: budgets that loosen, tighten or start anew, and doors that open."""

from collections.abc import Iterator, Sequence

from controlplane.core.declaring import DeclaredChange
from controlplane.core.desired import Key, Queue, Rule, Tier
from controlplane.core.gateways import Gateway, GatewaySpec
from controlplane.core.limits import Limit
from controlplane.core.plan import Action
from controlplane.core.rules import RuleAccess
from controlplane.core.spec import Access, QueueSpec


def warnings(change: DeclaredChange) -> tuple[str, ...]:
    """What somebody should know before this change is made."""
    return tuple(_warnings(change))


def _warnings(change: DeclaredChange) -> Iterator[str]:
    before, after = change.before, change.after
    if change.action is Action.DELETE:
        yield from _goes(change)
        return
    if after is None or before is None:
        if isinstance(after, Queue):
            yield from _opens(None, after.spec)
        if isinstance(after, Rule) and after.spec.access is RuleAccess.OPEN:
            yield "opens the rule to anybody who reaches the gateway"
        if isinstance(after, Tier):
            yield from limit_changes("the limit", (), after.spec.limits)
        return
    yield from limit_changes("the limit", before.spec.limits, after.spec.limits)
    if isinstance(before, Gateway) and isinstance(after, Gateway):
        yield from _gateway(before.spec, after.spec)
    if isinstance(before, Queue) and isinstance(after, Queue):
        yield from _opens(before.spec, after.spec)
        yield from _leaves(before.spec, after.spec)
        yield from _members(before.spec, after.spec)
    if isinstance(before, Rule) and isinstance(after, Rule):
        yield from _rule(before, after)
    if isinstance(before, Key) and isinstance(after, Key):
        yield from _key(before, after)


def _goes(change: DeclaredChange) -> Iterator[str]:
    if change.kind == "queue":
        yield "calls to this queue are answered 404 from then on"
    elif change.kind == "rule":
        yield "calls to this rule are answered 404 from then on"
    elif isinstance(change.before, Tier):
        yield from limit_changes("the limit", change.before.spec.limits, ())
    elif change.kind == "gateway":
        yield "what is on it stays there, and nobody looks after it"
    elif change.kind == "key":
        yield "calls with this key are answered 401 from then on"


def _gateway(before: GatewaySpec, after: GatewaySpec) -> Iterator[str]:
    if before.address != after.address:
        yield "is another gateway from then on: what is on the old one stays there, and nobody looks after it"
    if before.enabled and not after.enabled:
        yield "leaves the gateway as it is from then on"


def _opens(before: QueueSpec | None, after: QueueSpec) -> Iterator[str]:
    if after.access is Access.OPEN and (before is None or before.access is not Access.OPEN):
        yield "opens the queue to anybody who reaches the gateway"


def _leaves(before: QueueSpec, after: QueueSpec) -> Iterator[str]:
    if not after.gateways.items() <= before.gateways.items():
        wanted = ", ".join(f"{name}={value}" for name, value in after.gateways.items())
        yield f"leaves every gateway without {wanted}: calls are answered 404 there from then on"


def _members(before: QueueSpec, after: QueueSpec) -> Iterator[str]:
    old = {member.name: member for member in before.members}
    new = {member.name: member for member in after.members}
    for name in old.keys() & new.keys():
        yield from limit_changes(f"the limit of member {name}", old[name].limits, new[name].limits)
    if not old.keys() & new.keys():
        yield f"removes the last member that it had: {', '.join(old)}"
    usable = [name for name, member in new.items() if member.weight]
    if len(usable) == 1 and sum(bool(member.weight) for member in old.values()) > 1:
        yield f"leaves {usable[0]} as the last member: there is nothing to fall back to"


def _rule(before: Rule, after: Rule) -> Iterator[str]:
    if after.spec.access is RuleAccess.OPEN and before.spec.access is not RuleAccess.OPEN:
        yield "opens the rule to anybody who reaches the gateway"
    if before.spec.enabled and not after.spec.enabled:
        yield "calls to this rule are answered 404 from then on"
    if before.spec.target != after.spec.target:
        yield "sends the calls somewhere else"


def _key(before: Key, after: Key) -> Iterator[str]:
    if before.secret != after.secret:
        yield "the key's text changes: whoever sends the old one is answered 401"
    if before.spec.enabled and not after.spec.enabled:
        yield "disables the key"


def limit_changes(which: str, before: Sequence[Limit], after: Sequence[Limit]) -> Iterator[str]:
    """Each limit that loosens, tightens, comes or goes; matched by what it counts and not by its place."""
    olds = [limit for limit in before if limit not in after]
    news = [limit for limit in after if limit not in before]
    for same in (_identity, _meter):
        for new in list(news):
            old = next((limit for limit in olds if same(limit) == same(new)), None)
            if old is not None:
                olds.remove(old)
                news.remove(new)
                yield f"{_direction(old, new)} {which} from {old} to {new}{_anew(old, new)}"
    for old in olds:
        yield f"loosens: removes {which} of {old}"
    for new in news:
        yield f"tightens: adds {which} of {new}"


def _identity(limit: Limit) -> tuple[object, ...]:
    return (limit.meter, limit.by, limit.value, limit.per, limit.refill_per_s, limit.mode)


def _meter(limit: Limit) -> tuple[object, ...]:
    return (limit.meter, limit.by, limit.value)


def _direction(old: Limit, new: Limit) -> str:
    was, now = _pace(old), _pace(new)
    if was == now:
        return "changes"
    return "loosens" if now > was else "tightens"


def _pace(limit: Limit) -> float:
    """How much the limit lets through, to compare two that count the same."""
    if limit.refill_per_s is not None:
        return limit.refill_per_s
    return limit.amount / limit.window_s if limit.window_s else float(limit.amount)


def _anew(old: Limit, new: Limit) -> str:
    # Another pace of a bucket and another mode keep the count on some gateways: each gateway's steps say so.
    same_kind = (old.refill_per_s is None) == (new.refill_per_s is None)
    return "" if old.per == new.per and same_kind else ", which resets its window"
