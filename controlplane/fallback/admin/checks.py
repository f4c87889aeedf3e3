"""Whether an object may be written: its shape, its plugins, and what it refers to."""

import copy
from collections.abc import Mapping
from typing import Any

import orjson

from controlplane.fallback.admin.answers import Refused
from controlplane.fallback.runtime.consumers import UNIQUE
from controlplane.fallback.runtime.expressions import InvalidExpression, compile_expression
from controlplane.fallback.runtime.meta import is_disabled
from controlplane.fallback.runtime.plugin import Plugin, Services
from controlplane.fallback.schema.fields import META
from controlplane.fallback.schema.validator import Schema, check
from controlplane.fallback.secrets.references import is_reference
from controlplane.fallback.state.store import Store

Json = dict[str, Any]

_BALANCERS = ("roundrobin", "chash")
# What a consistent hash may be made from.
_HASH_VARIABLE: Schema = {
    "type": "string",
    "pattern": r"^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host"
    r"|hostname|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$",
}
_HASH_HEADER: Schema = {"type": "string", "pattern": "^[a-zA-Z0-9-_]+$"}
_HASH_COMBINATION: Schema = {"type": "string"}
_HASH_KEYS: Mapping[str, Schema] = {
    "vars": _HASH_VARIABLE,
    "header": _HASH_HEADER,
    "cookie": _HASH_HEADER,
    "vars_combinations": _HASH_COMBINATION,
}


def with_meta(schema: Schema) -> Json:
    """A plugin's schema with what every configuration may have."""
    return {**schema, "properties": {**schema.get("properties", {}), "_meta": META}}


class Checks:
    """Checks of values against schemas, plugins and the other objects. They raise Refused."""

    def __init__(self, store: Store, registry: Mapping[str, type[Plugin]], services: Services) -> None:
        self._store = store
        self._registry = registry
        self._services = services

    def shape(self, schema: Schema, value: Json) -> None:
        """The schema of the object itself."""
        problem = check(schema, copy.deepcopy(value))
        if problem is not None:
            raise Refused.saying(f"invalid configuration: {problem}")

    def plugins(self, value: Json, *, consumer: bool = False) -> None:
        """Every plugin of an object."""
        for name, conf in (value.get("plugins") or {}).items():
            problem = self._plugin_problem(name, conf, consumer=consumer)
            if problem is not None:
                raise Refused.saying(f"invalid plugins configuration: {problem}" if consumer else problem)

    def metadata(self, name: str, conf: Json) -> None:
        plugin = self._registry.get(name)
        if plugin is None:
            raise Refused.saying("invalid plugin name")
        problem = check(plugin.metadata_schema or {}, copy.deepcopy(conf))
        if problem is not None:
            raise Refused.saying(f"invalid configuration: {problem}")

    def expression(self, rules: Any) -> None:
        if rules is None:
            return
        try:
            compile_expression(rules)
            _check_paths(rules)
        except InvalidExpression as error:
            raise Refused.saying(f"failed to validate the 'vars' expression: {error}") from None

    def upstream(self, upstream: Any) -> None:
        """An upstream inside a route or a service, or one of its own."""
        if not isinstance(upstream, dict):
            return
        for address in upstream["nodes"] if isinstance(upstream.get("nodes"), dict) else ():
            port = address.rpartition(":")[2] if ":" in address else "1"
            if port.isdigit() and not 1 <= int(port) <= 65535:
                raise Refused.saying(f"invalid port {int(port)}")
        if upstream.get("pass_host") == "rewrite" and not upstream.get("upstream_host"):
            raise Refused.saying("`upstream_host` can't be empty when `pass_host` is `rewrite`")
        if "client_cert" in (upstream.get("tls") or {}) or "client_cert_id" in (upstream.get("tls") or {}):
            raise Refused.saying("certificates for upstreams are not supported by this gateway")
        balancer = upstream.get("type", "roundrobin")
        if balancer not in _BALANCERS:
            raise Refused.saying(f"invalid configuration: unknown balancer type {balancer}")
        kind = upstream.get("hash_on", "vars")
        if balancer != "chash" or kind == "consumer":
            return
        if "key" not in upstream:
            raise Refused.saying("missing key")
        problem = check(_HASH_KEYS[kind], upstream["key"])
        if problem is not None:
            raise Refused.saying(f"invalid configuration: {problem}")

    def reference(self, kind: str, what: str, identifier: Any) -> None:
        """An object that another refers to must be there."""
        if identifier is not None and self._store.get(f"/{kind}/{identifier}") is None:
            raise Refused.saying(
                f"failed to fetch {what} info by {what} id [{identifier}], response code: 404"
            )

    def unique_keys(self, value: Json, consumer: str, credential: str | None) -> None:
        """A key must not belong to somebody else."""
        plugins = value.get("plugins") or {}
        for plugin, attribute in UNIQUE.items():
            key = (plugins.get(plugin) or {}).get(attribute)
            if not isinstance(key, str) or is_reference(key):
                continue
            owner = self._services.consumers.find(plugin, key)
            if owner is None:
                continue
            own = owner.username == consumer and (credential is None or owner.credential == credential)
            if not own:
                whose = f"consumer: {owner.username}"
                if owner.credential is not None:
                    whose = f"credential: {owner.credential} of {whose}"
                raise Refused.saying(f"duplicate {attribute} of plugin {plugin} found with {whose}")

    def only_auth_plugins(self, value: Json) -> None:
        for name in value.get("plugins") or {}:
            if not self._registry[name].is_auth:
                raise Refused.saying("only supports auth type plugins in consumer credential")

    def one_global_rule_a_plugin(self, identifier: str, value: Json) -> None:
        for rule in self._store.all("global_rules"):
            if rule.id == identifier:
                continue
            for name in value["plugins"]:
                if name in rule.value["plugins"]:
                    raise Refused.saying(f"plugin '{name}' already exists in global rule with id '{rule.id}'")

    def _plugin_problem(self, name: str, conf: Any, *, consumer: bool) -> str | None:
        if not isinstance(conf, dict):
            return f"invalid plugin conf {orjson.dumps(conf).decode()} for plugin [{name}]"
        plugin = self._registry.get(name)
        if plugin is None:
            return f"unknown plugin [{name}]"
        for_consumer = consumer and plugin.consumer_schema is not None
        schema = plugin.consumer_schema if for_consumer and plugin.consumer_schema else plugin.schema
        filled = copy.deepcopy(conf)
        problem = check(with_meta(schema), filled)
        if problem is not None:
            problem = plugin.in_other_words(conf, problem)
        elif not for_consumer:
            problem = plugin.problem(filled, self._services)
        if problem is not None and not is_disabled(conf):
            return f"failed to check the configuration of plugin {name} err: {problem}"
        return _meta_problem(name, conf.get("_meta"))


def _meta_problem(name: str, meta: Any) -> str | None:
    if not isinstance(meta, dict):
        return None
    if "pre_function" in meta:
        return f"failed to load _meta.pre_function in plugin {name}: it is not supported by this gateway"
    if "filter" in meta:
        try:
            compile_expression(meta["filter"])
        except InvalidExpression as error:
            return f"failed to validate the 'vars' expression: {error}"
    return None


def _check_paths(rules: Any) -> None:
    """Fields of a body are found by names and dots, not by JSON paths."""
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, list):
            _check_paths(rule)
        elif isinstance(rule, str) and rule.startswith("post_arg.") and any(c in rule for c in "[*"):
            raise InvalidExpression(f"'{rule}' is a JSON path, which this gateway does not support")
