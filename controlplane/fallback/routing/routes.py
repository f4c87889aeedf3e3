"""A route as the router needs it: its addresses and conditions, compiled."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.expressions import Condition, compile_expression, equality_on

MODEL_VARIABLE = "post_arg.model"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Pattern:
    """One uri of a route: exact, or all below a prefix. `rest` checks a star that is not at the end."""

    uri: str
    prefix: str
    length: int
    exact: bool
    rest: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """The conditions of one route, and what decides between it and others."""

    key: str
    priority: int
    created: int
    patterns: tuple[Pattern, ...]
    hosts: tuple[str, ...]
    methods: frozenset[str]
    networks: tuple[Network, ...]
    condition: Condition | None
    model: str | None

    def accepts(self, context: Context) -> bool:
        """Whether everything but the address matches."""
        if self.methods and context.method not in self.methods:
            return False
        if self.networks and not self._is_near(context.client_ip):
            return False
        return self.condition is None or self.condition(context)

    def _is_near(self, address: str) -> bool:
        try:
            client = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(client in network for network in self.networks)


def compile_route(
    key: str, value: Mapping[str, Any], created: int, service_hosts: list[str] | None
) -> CompiledRoute | None:
    """The route's conditions, or None where it is switched off."""
    if value.get("status") == 0:
        return None
    uris = value.get("uris") or [value["uri"]]
    hosts = value.get("hosts") or ([value["host"]] if "host" in value else service_hosts) or []
    addresses = value.get("remote_addrs") or ([value["remote_addr"]] if "remote_addr" in value else [])
    rules = value.get("vars")
    return CompiledRoute(
        key=key,
        priority=int(value.get("priority", 0)),
        created=created,
        patterns=tuple(compile_pattern(uri) for uri in uris),
        hosts=tuple(hosts),
        methods=frozenset(value.get("methods") or ()),
        networks=tuple(ipaddress.ip_network(address, strict=False) for address in addresses),
        condition=compile_expression(rules) if rules else None,
        model=equality_on(rules, MODEL_VARIABLE),
    )


def compile_pattern(uri: str) -> Pattern:
    """A star matches anything from where it stands; a colon is a colon."""
    star = uri.find("*")
    if star < 0:
        return Pattern(uri, uri, len(uri), exact=True, rest=None)
    prefix = uri[:star]
    rest = None
    if star != len(uri) - 1 and "/*" in uri:
        segments = ["(?:.|\n)*" if part.startswith("*") else re.escape(part) for part in uri.split("/")]
        rest = re.compile("/".join(segments))
    return Pattern(uri, prefix, len(uri), exact=False, rest=rest)
