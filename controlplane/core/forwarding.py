"""What a forwarding rule comes to: its own plugins behind those of its tenant, its limits, and its address.

A gateway checks a request before it counts it, whatever the plugins' order: what a check refuses costs
nothing. An order that says otherwise is a problem of the rule that declares it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from controlplane.core.chain import (
    ContentValidator,
    ExternalValidator,
    Plugin,
    RateLimiter,
    SecurityValidator,
    Stage,
    in_order,
)
from controlplane.core.desired import DesiredState, Rule, Tenant
from controlplane.core.limits import Limit, Meter, Mode, Then
from controlplane.core.networks import Networks, networks
from controlplane.core.rules import Match, Method, RuleAccess
from controlplane.errors import Problem

_CHECKS = (SecurityValidator, ContentValidator)
_WITH_BODY = frozenset((Method.POST, Method.PUT, Method.PATCH))
_ON_QUEUES = "declare it on a queue"

Groups = tuple[tuple[ExternalValidator, ...], ...]
"""One after the other; those of a group at the same time."""


@dataclass(frozen=True, slots=True)
class Link:
    """A plugin in the chain, and where it is declared: from the rule's top, or the tenant's."""

    path: str
    plugin: Plugin
    required: bool


@dataclass(frozen=True)
class Forwarding:
    """A rule together with what its tenant requires."""

    rule: Rule
    tenant: Tenant | None = None

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every enabled plugin in the order in which they run: of one stage, the tenant's first."""
        required = in_order(self.tenant.spec.required_plugins) if self.tenant else []
        found = [Link(f"required_plugins[{index}]", plugin, required=True) for index, plugin in required]
        found += [
            Link(f"plugins[{index}]", plugin, False) for index, plugin in in_order(self.rule.spec.plugins)
        ]
        stages = tuple(Stage)
        return tuple(sorted(found, key=lambda link: stages.index(link.plugin.stage)))

    @cached_property
    def limits(self) -> tuple[tuple[str, Limit], ...]:
        """Where each limit is declared, and the limit: rate limiters in their order, then the rule's own."""
        found = [
            (link.path, link.plugin.as_limit) for link in self.links if isinstance(link.plugin, RateLimiter)
        ]
        return (*found, *((f"limits[{index}]", limit) for index, limit in enumerate(self.rule.spec.limits)))

    @property
    def checks(self) -> Iterator[SecurityValidator | ContentValidator]:
        """What looks at requests."""
        for link in self.links:
            if isinstance(link.plugin, _CHECKS) and link.plugin.stage is Stage.PRE_REQUEST:
                yield link.plugin

    @property
    def answer_checks(self) -> Iterator[ContentValidator]:
        """What looks at answers."""
        for link in self.links:
            if isinstance(link.plugin, ContentValidator) and link.plugin.stage is Stage.PRE_RESPONSE:
                yield link.plugin

    @cached_property
    def validators(self) -> Groups:
        """Who is asked over HTTP before the call goes on."""
        return self._groups(_is_asked)

    @cached_property
    def told(self) -> Groups:
        """Who is told over HTTP of the finished call."""
        return self._groups(_is_told)

    def _groups(self, wanted: Callable[[Link], bool]) -> Groups:
        groups: list[list[ExternalValidator]] = []
        last: Link | None = None
        for link in self.links:
            if not wanted(link) or not isinstance(link.plugin, ExternalValidator):
                continue
            if last is not None and _together(last, link):
                groups[-1].append(link.plugin)
            else:
                groups.append([link.plugin])
            last = link
        return tuple(map(tuple, groups))

    @property
    def asks_before_counting(self) -> bool:
        """Whether external validators stand in front of what counts calls."""
        turns = [link for link in self.links if _is_asked(link) or isinstance(link.plugin, RateLimiter)]
        kinds = [type(link.plugin) for link in turns]
        if RateLimiter not in kinds or ExternalValidator not in kinds:
            return not any(link.plugin.stage is Stage.POST_REQUEST for link in turns)
        return kinds.index(ExternalValidator) < kinds.index(RateLimiter)

    @cached_property
    def addresses(self) -> Networks:
        """Who may call, by address."""
        settings = [link.plugin.settings for link in self.links if isinstance(link.plugin, SecurityValidator)]
        return networks(
            [one.allow_ips for one in settings if one.allow_ips],
            [ip for one in settings for ip in one.deny_ips],
        )

    def problems(self) -> Iterator[Problem]:
        """What no gateway would enforce; the fields are named from the rule's top."""
        yield from self._order_problems()
        yield from self._check_problems()
        yield from self._secret_problems()
        for path, limit in self.limits:
            if problem := self._limit_problem(path, limit):
                yield problem
        buckets = [path for path, limit in self.limits if limit.refill_per_s is not None]
        for path in buckets[1:]:
            yield Problem(f"{path}.requests", "a rule has one bucket of requests", "remove one")

    def _order_problems(self) -> Iterator[Problem]:
        counted: Link | None = None
        for link in self.links:
            if link.plugin.stage is not Stage.PRE_REQUEST:
                continue
            if not isinstance(link.plugin, _CHECKS):
                counted = counted or (None if link.required else link)
            elif counted is not None:
                other = counted.plugin
                message = f"a gateway checks requests before {other.name} has its turn, not after it"
                remedy = f"give it a priority below {other.priority}, the one of {counted.path}"
                yield Problem(f"{link.path}.priority", message, remedy)
        kinds = [link for link in self.links if _is_asked(link) or isinstance(link.plugin, RateLimiter)]
        turns = [after for before, after in pairwise(kinds) if before.plugin.name != after.plugin.name]
        if len(turns) > 1:
            message = "external validators are asked all at one place, before the rate limiters or after them"
            yield Problem(
                _own(turns[-1], "priority"), message, "change the priorities so that they stand together"
            )

    def _check_problems(self) -> Iterator[Problem]:
        if self.addresses.nobody:
            yield Problem("plugins", "no address is left that could call", "widen `allow_ips`, or deny fewer")
        methods = frozenset(self.rule.spec.methods)
        for link in self.links:
            settings = link.plugin.settings
            needs_body = (
                isinstance(link.plugin, _CHECKS) and getattr(settings, "json_schema", None) is not None
            )
            if needs_body and (not methods or methods - _WITH_BODY):
                message = f"a JSON schema ({link.path}) needs a body, which not all methods of this rule have"
                yield Problem(
                    "methods", message, "list POST, PUT or PATCH alone, and make another rule for the others"
                )

    def _secret_problems(self) -> Iterator[Problem]:
        """By the time that validators hear of a call, the header of the target's key holds that key."""
        carrier = self.rule.spec.api_key_header
        for link in self.links:
            if isinstance(link.plugin, ExternalValidator) and carrier in link.plugin.settings.headers:
                message = f"a validator ({link.path}) would be told the key of the target"
                remedy = f"remove {carrier} from the validator's `headers`"
                yield Problem(_own(link, "settings.headers"), message, remedy)

    def _limit_problem(self, path: str, limit: Limit) -> Problem | None:
        if limit.meter not in (Meter.REQUESTS, Meter.CONCURRENCY):
            return Problem(f"{path}.{limit.meter}", "a rule counts requests and concurrency", _ON_QUEUES)
        if limit.is_calendar or limit.mode is Mode.SLIDING:
            name = "per" if limit.is_calendar else "mode"
            return Problem(
                f"{path}.{name}", "a rule's windows are fixed, such as `per: 1h`", "use one of these"
            )
        if limit.strict or limit.then is not Then.REJECT:
            name = "strict" if limit.strict else "then"
            return Problem(
                f"{path}.{name}", "requests are always counted at once and refused", f"remove `{name}`"
            )
        if limit.by is not None and limit.by != "key" and limit.header is None:
            return Problem(
                f"{path}.by", f"a rule's limit cannot be divided by {limit.by}", "use key or header:NAME"
            )
        if limit.by == "key" and self.rule.spec.access is RuleAccess.OPEN:
            return Problem(f"{path}.by", "an open rule knows no keys", "remove `by`, or use `access: keys`")
        return None


def forwarding_of(rule: Rule, desired: DesiredState) -> Forwarding:
    """The rule with the tenant that it belongs to."""
    return Forwarding(rule, desired.tenants.get(rule.spec.tenant) if rule.spec.tenant else None)


def rule_problems(
    desired: DesiredState, *, new: Collection[str] = (), hosts: Mapping[str, Sequence[str]] | None = None
) -> Iterator[Problem]:
    """What no gateway would enforce of the rules; fields are named from the document's top.

    Of rules that exclude one another the `new` ones have to give way. `hosts` are those of each rule where
    the gateway's domain is known; subdomains stand for them without.
    """
    for name, rule in desired.rules.items():
        for item in forwarding_of(rule, desired).problems():
            yield Problem(f"rules.{name}.{item.field}", item.message, item.remedy)
    rules = sorted(desired.rules.values(), key=lambda rule: (rule.spec.name in new, rule.spec.name))
    yield from _clashes([rule for rule in rules if rule.spec.enabled], desired, hosts)


def _clashes(
    rules: Iterable[Rule], desired: DesiredState, hosts: Mapping[str, Sequence[str]] | None
) -> Iterator[Problem]:
    """Rules that would answer the same calls: which of them did would be chance."""
    taken: dict[tuple[str, str, Match], set[Method]] = {}
    for rule in rules:
        spec = rule.spec
        served = _hosts(rule, desired) if hosts is None else hosts[spec.name]
        wanted = set(spec.methods or Method)
        for host in served or ("",):
            methods = taken.setdefault((host, spec.path, spec.match), set())
            if methods & wanted:
                message = "another rule answers this address already"
                yield Problem(f"rules.{spec.name}.path", message, "choose another path, host or method")
                break
            methods |= wanted


def _hosts(rule: Rule, desired: DesiredState) -> Sequence[str]:
    tenant = desired.tenants.get(rule.spec.tenant) if rule.spec.tenant else None
    if rule.spec.hosts or tenant is None or tenant.spec.subdomain is None:
        return rule.spec.hosts
    return (f"{tenant.spec.subdomain}.",)


def _is_asked(link: Link) -> bool:
    return isinstance(link.plugin, ExternalValidator) and not link.plugin.is_told


def _is_told(link: Link) -> bool:
    return isinstance(link.plugin, ExternalValidator) and link.plugin.is_told


def _together(before: Link, after: Link) -> bool:
    first, second = before.plugin, after.plugin
    if before.required != after.required or not (first.parallel and second.parallel):
        return False
    return (first.stage, first.priority) == (second.stage, second.priority)


def _own(link: Link, field: str) -> str:
    """A field of a plugin; of one that the tenant requires, the rule's chain stands for it."""
    return "plugins" if link.required else f"{link.path}.{field}"
