"""An upstream as calls need it: its nodes, how one is chosen, and how long to wait for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.fallback.health.rules import HealthRules, health_rules
from controlplane.fallback.http.answers import Origin, Patience
from controlplane.fallback.runtime.owner import Owner

Conf = Mapping[str, Any]

_PORTS = {"http": 80, "https": 443}
_TIMEOUT = {"connect": 60, "send": 60, "read": 60}


@dataclass(frozen=True, slots=True)
class Node:
    """One address of an upstream."""

    host: str
    port: int
    weight: int
    priority: int

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Nodes of one kind. `scheme` is http or https."""

    owner: Owner
    scheme: str
    nodes: Mapping[str, Node]
    hashed: bool
    hash_on: str
    key: str
    retries: int
    retry_for_s: float | None
    patience: Patience
    host_policy: str
    host: str | None
    verify: bool
    health: HealthRules | None

    def origin(self, node: Node, server_name: str) -> Origin:
        return Origin(self.scheme, node.host, node.port, server_name, self.verify)

    def host_of(self, node: Node) -> str:
        """The node as a Host header names it."""
        return node.host if node.port == _PORTS[self.scheme] else node.name


def compile_upstream(conf: Conf, owner: Owner, timeout: Conf | None) -> Upstream | None:
    """An upstream from its configuration, or None where it has no node. A route's timeout goes first."""
    scheme = conf.get("scheme", "http")
    if scheme not in _PORTS:
        return None
    nodes = {node.name: node for node in _nodes(conf.get("nodes") or (), scheme)}
    if not nodes:
        return None
    seconds = {**_TIMEOUT, **(timeout or conf.get("timeout") or {})}
    pool = conf.get("keepalive_pool") or {}
    checks = conf.get("checks") or {}
    return Upstream(
        owner=owner,
        scheme=scheme,
        nodes=nodes,
        hashed=conf.get("type") == "chash",
        hash_on=conf.get("hash_on", "vars"),
        key=conf.get("key", ""),
        retries=conf.get("retries", len(nodes) - 1),
        retry_for_s=conf.get("retry_timeout") or None,
        patience=Patience(
            timeout_s=seconds["read"],
            connect_s=seconds["connect"],
            keep=pool.get("size", 320),
            keep_s=pool.get("idle_timeout", 60),
        ),
        host_policy=conf.get("pass_host", "pass"),
        host=conf.get("upstream_host"),
        verify=bool((conf.get("tls") or {}).get("verify", False)),
        health=health_rules(checks) if "active" in checks else None,
    )


def _nodes(nodes: Any, scheme: str) -> list[Node]:  # both of APISIX's ways to write nodes
    if isinstance(nodes, dict):
        found = []
        for address, weight in nodes.items():
            host, colon, port = address.rpartition(":")
            named = bool(colon) and port.isdigit()
            found.append(
                Node(host if named else address, int(port) if named else _PORTS[scheme], int(weight), 0)
            )
        return found
    return [
        Node(node["host"], node.get("port", _PORTS[scheme]), node["weight"], node.get("priority", 0))
        for node in nodes
    ]
