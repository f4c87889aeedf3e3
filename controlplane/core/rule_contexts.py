"""A forwarding rule as contexts: the policy of its calls, and the route to its target."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.core.contexts import Context, CounterStore, Labels, PolicyContext, RuleRouteContext
from controlplane.core.enforcement import Mechanism, Placement
from controlplane.core.forwarding import Forwarding
from controlplane.core.limits import Limit, Meter
from controlplane.core.objects import Json, Kind, ObjectKey
from controlplane.core.policies import (
    NOBODY,
    REMOVED_HEADERS,
    SetHeaders,
    bucket_of,
    concurrency_rule,
    count_rule,
)
from controlplane.core.rules import Match, RuleSpec
from controlplane.core.secrets import Secret
from controlplane.core.validation import ValidationAddress, forward_auth, http_logger

RULE_HEADER = "X-Sluice-Rule"
RULE_PRIORITY = 10
"""Behind the routes of queues, so that a rule never takes a call from them."""
FORWARDING_SERVICE = "sluice.forwarding"

_PORTS = {"http": 80, "https": 443}
_REJECTION = "A limit of this rule is used up. Try again after the time that the Retry-After header names."


@dataclass(frozen=True, slots=True)
class RuleCompiler:
    """What the objects of one rule have in common."""

    forwarding: Forwarding
    labels: Labels
    counters: CounterStore
    validation: ValidationAddress | None = None

    @property
    def _spec(self) -> RuleSpec:
        return self.forwarding.rule.spec

    @property
    def _id(self) -> str:
        return rule_policy_id(self._spec.name)

    @property
    def _declared_by(self) -> str:
        return f"rule {self._spec.name}"

    def policy(self, consumers: Sequence[str] | None) -> Context:
        """Who may call, what a call must look like, and the limits."""
        rule = self.forwarding.rule
        headers = SetHeaders({RULE_HEADER: rule.id.hex}, RULE_HEADER)
        placed = placements(self.forwarding)
        counts = [count_rule(headers, item) for item in placed if item.mechanism is Mechanism.COUNT]
        conns = [
            concurrency_rule(headers, item) for item in placed if item.mechanism is Mechanism.CONCURRENCY
        ]
        buckets = [bucket_of(headers, item) for item in placed if item.mechanism is Mechanism.BUCKET]
        plugins = self._plugins()
        set_headers: dict[str, str | Secret] = {**headers.values, **self._request_headers()}
        removed = [*REMOVED_HEADERS, *(name.title() for name in self._spec.headers.remove)]
        kept = {name.lower() for name in set_headers}
        return PolicyContext(
            ObjectKey(Kind.PLUGIN_CONFIG, self._id),
            self.labels,
            self._declared_by,
            consumers=None if consumers is None else list(consumers) or [NOBODY],
            set_headers=set_headers,
            # What is set goes before what is removed here, and the gateway removes last.
            remove_headers=[name for name in dict.fromkeys(removed) if name.lower() not in kept],
            rewrite=_rewrite(self._spec),
            counters=self.counters,
            counts=counts,
            concurrency=conns,
            bucket=buckets[0] if buckets else None,
            rejection=_REJECTION,
            guards=plugins,
            pins={
                **{("plugins", name): conf for name, conf in plugins.items()},
                ("plugins", "proxy-rewrite", "headers", "set"): set_headers,
                ("plugins", "limit-count", "rules"): counts or None,
                ("plugins", "limit-conn", "rules"): conns or None,
                ("plugins", "limit-req", "rate"): buckets[0]["rate"] if buckets else None,
                ("plugins", "limit-req", "burst"): buckets[0]["burst"] if buckets else None,
            },
        )

    def route(self, hosts: Sequence[str]) -> Context:
        """The rule's addresses, and the target behind them."""
        spec = self._spec
        upstream = _upstream(spec)
        return RuleRouteContext(
            ObjectKey(Kind.ROUTE, self._id),
            self.labels,
            self._declared_by,
            uris=uris(spec),
            priority=RULE_PRIORITY,
            service=FORWARDING_SERVICE,
            plugin_config=self._id,
            hosts=hosts,
            methods=[method.value for method in spec.methods],
            upstream=upstream,
            pins={("hosts",): list(hosts) or None, ("upstream",): upstream, ("uris",): uris(spec)},
        )

    def _request_headers(self) -> dict[str, str | Secret]:
        spec, secret = self._spec, self.forwarding.rule.secret
        found: dict[str, str | Secret] = {name.title(): value for name, value in spec.headers.set.items()}
        if any(self.forwarding.answer_checks):
            # What is compressed cannot be searched.
            found["Accept-Encoding"] = "identity"
        if secret is not None:
            found[spec.api_key_header.title()] = secret
        return found

    def _plugins(self) -> dict[str, Json]:
        """The plugins of the gateway that hold the chain, by name."""
        found: dict[str, Json] = {}
        addresses = self.forwarding.addresses
        if addresses.allowed is not None:
            found["ip-restriction"] = {"whitelist": list(addresses.allowed)}
        elif addresses.denied:
            found["ip-restriction"] = {"blacklist": list(addresses.denied)}
        checks = [check.settings for check in self.forwarding.checks]
        largest = [one.max_body_bytes for one in checks if one.max_body_bytes is not None]
        if largest:
            found["client-control"] = {"max_body_size": min(largest)}
        schemas = [one.json_schema for one in checks if one.json_schema is not None]
        names = [name for one in checks for name in getattr(one, "required_headers", ())]
        if schemas or names:
            found["request-validation"] = {
                **({"header_schema": {"type": "object", "required": sorted(set(names))}} if names else {}),
                **(
                    {"body_schema": schemas[0] if len(schemas) == 1 else {"allOf": schemas}}
                    if schemas
                    else {}
                ),
                **({"max_req_body_size": min(largest)} if largest else {}),
            }
        if self.forwarding.validators and self.validation is not None:
            found["forward-auth"] = forward_auth(self.forwarding, self.validation)
        if self.forwarding.told and self.validation is not None:
            found["http-logger"] = http_logger(self.forwarding, self.validation)
        if answers := self._answers():
            found["response-rewrite"] = answers
        return found

    def _answers(self) -> dict[str, Json]:
        """What is changed of answers."""
        changes = self._spec.response_headers
        headers: dict[str, Json] = {}
        if changes.set:
            headers["set"] = {name.title(): value for name, value in changes.set.items()}
        if changes.remove:
            headers["remove"] = [name.title() for name in changes.remove]
        filters = [
            {"regex": pattern, "replace": check.settings.replacement, "scope": "global"}
            for check in self.forwarding.answer_checks
            for pattern in check.settings.deny_patterns
        ]
        return {**({"headers": headers} if headers else {}), **({"filters": filters} if filters else {})}


def uris(spec: RuleSpec) -> list[str]:
    """The addresses that the rule answers, in the words of the gateway's router."""
    if spec.match is Match.EXACT:
        return [spec.path]
    return ["/*"] if spec.path == "/" else [spec.path, f"{spec.path}/*"]


def rule_policy_id(rule: str) -> str:
    return f"r.{rule}"


def counted_as(limit: Limit) -> tuple[object, ...]:
    """What the limits of a rule have in common that share a counter."""
    return (limit.meter, limit.window_s, limit.refill_per_s, limit.by)


def placements(forwarding: Forwarding) -> list[Placement]:
    """Each limit of the rule with what holds it; of limits that count the same, the smallest."""
    smallest: dict[tuple[object, ...], tuple[str, Limit]] = {}
    for path, limit in forwarding.limits:
        known = smallest.get(counted_as(limit))
        if known is None or limit.amount < known[1].amount:
            smallest[counted_as(limit)] = (path, limit)
    found: list[Placement] = []
    for path, limit in smallest.values():
        mechanism = _mechanism(limit)
        number = 1 + sum(item.mechanism is mechanism for item in found)
        found.append(Placement(path, limit, mechanism, number=number))
    return found


def _mechanism(limit: Limit) -> Mechanism:
    if limit.meter is Meter.CONCURRENCY:
        return Mechanism.CONCURRENCY
    return Mechanism.COUNT if limit.refill_per_s is None else Mechanism.BUCKET


def _rewrite(spec: RuleSpec) -> Mapping[str, Json]:
    """What becomes of the address on the way to the target."""
    base = spec.target_path
    if not spec.strip_path:
        return {"regex_uri": ["^(.*)$", f"{base}$1"]} if base else {}
    if spec.match is Match.EXACT:
        return {"uri": base or "/"}
    own = re.escape(spec.path.rstrip("/")).replace(r"\-", "-").replace(r"\~", "~").replace(r"\@", "@")
    if not own:
        return {"regex_uri": ["^(.*)$", f"{base}$1"]} if base else {}
    pairs = [f"^{own}/(.*)$", f"{base}/$1", f"^{own}$", base or "/"]
    return {"regex_uri": pairs}


def _upstream(spec: RuleSpec) -> dict[str, Json]:
    address = spec.address
    timeouts = spec.timeouts
    node = {
        "host": address.hostname,
        "port": address.port or _PORTS[address.scheme],
        "weight": 1,
    }
    return {
        "type": "roundrobin",
        "scheme": address.scheme,
        "nodes": [node],
        "pass_host": "pass" if spec.preserve_host else "node",
        "retries": spec.retries,
        "timeout": {"connect": timeouts.connect_s, "send": timeouts.send_s, "read": timeouts.read_s},
    }
