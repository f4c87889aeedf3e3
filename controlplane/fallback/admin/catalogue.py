"""What the gateway knows about itself: its plugins and all schemas."""

from collections.abc import Mapping
from typing import Any

from controlplane.fallback.admin.answers import Answer, Refused, answer
from controlplane.fallback.admin.checks import with_meta
from controlplane.fallback.admin.kinds import KINDS
from controlplane.fallback.runtime.plugin import Plugin
from controlplane.fallback.schema import kinds as schemas
from controlplane.fallback.schema.fields import ID
from controlplane.fallback.schema.validator import check

Json = dict[str, Any]

_COMMENT = "this is a mark for our injected plugin schema"
_MAIN: Mapping[str, Any] = {
    "route": schemas.ROUTE,
    "service": schemas.SERVICE,
    "upstream": schemas.UPSTREAM,
    "consumer": schemas.CONSUMER,
    "credential": schemas.CREDENTIAL,
    "consumer_group": schemas.CONSUMER_GROUP,
    "plugin_config": schemas.PLUGIN_CONFIG,
    "global_rule": schemas.GLOBAL_RULE,
    "id_schema": ID,
}


class Catalogue:
    """Answers questions about plugins and schemas."""

    def __init__(self, registry: Mapping[str, type[Plugin]]) -> None:
        self._registry = registry

    def names(self) -> Answer:
        """The plugins in the order in which they run."""
        ordered = sorted(self._registry.values(), key=lambda plugin: plugin.priority, reverse=True)
        return answer(200, [plugin.name for plugin in ordered])

    def all_plugins(self) -> Answer:
        return answer(200, {name: _described(plugin) for name, plugin in self._registry.items()})

    def plugin_schema(self, name: str, schema_type: str | None) -> Answer:
        plugin = self._registry.get(name)
        if plugin is None:
            raise Refused.saying("plugin not found in subsystem http", 404)
        described = _described(plugin)
        schema = described.get("consumer_schema") if schema_type == "consumer" else described["schema"]
        if schema is None:
            raise Refused.saying("not found schema")
        return answer(200, schema)

    def main_schema(self, name: str) -> Answer:
        if name not in _MAIN:
            raise Refused.saying(f"not found schema: {name}")
        return answer(200, _MAIN[name])

    def validate(self, kind: str, value: Any) -> Answer:
        """Whether a value meets the schema of a kind; what is in its plugins is not looked at."""
        if kind not in KINDS:
            raise Refused.saying(f"Unsupported resource type: {kind}", 404)
        problem = check(KINDS[kind].schema, value)
        if problem is not None:
            raise Refused.saying(problem)
        return answer(200, None)


def _described(plugin: type[Plugin]) -> Json:
    schema = {**with_meta(plugin.schema), "$comment": _COMMENT}
    if plugin.secrets:
        schema["encrypt_fields"] = list(plugin.secrets)
    described: Json = {"priority": plugin.priority, "version": plugin.version, "schema": schema}
    if plugin.is_auth:
        described["type"] = "auth"
    if plugin.consumer_schema is not None:
        described["consumer_schema"] = {
            **plugin.consumer_schema,
            "encrypt_fields": list(plugin.consumer_secrets),
        }
    if plugin.metadata_schema is not None:
        described["metadata_schema"] = plugin.metadata_schema
    return described
