"""A gateway's own JSON Schemas, asked of it at run time: what it would refuse is found before it is sent."""

from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema_rs
import orjson

from controlplane.core.objects import GatewayObject, Json, Kind, ObjectKey, resolved

# Any: JSON Schemas, as the gateway hands them out.
Schema = Mapping[str, Any]


class Placeholders(dict[str, str]):
    """Text of a secret for the sake of its type: the schema is asked about form, not content."""

    def __missing__(self, name: str) -> str:
        return "secret"


class SchemaSet:
    """The schemas of the kinds that we make, and of every plugin."""

    def __init__(self, kinds: Mapping[Kind, Schema], plugins: Mapping[str, Schema]) -> None:
        self._kinds = {kind: _validator(schema) for kind, schema in kinds.items()}
        self._plugin_schemas = plugins
        self._plugins: dict[str, jsonschema_rs.Validator] = {}

    def check(self, objects: Iterable[GatewayObject]) -> dict[ObjectKey, str]:
        """What is wrong with which object; an empty answer means that the gateway would take them all."""
        found: dict[ObjectKey, str] = {}
        for item in objects:
            if trouble := self._trouble(item):
                found[item.key] = trouble
        return found

    def _trouble(self, item: GatewayObject) -> str | None:
        body: dict[str, Json] = orjson.loads(resolved(item.text, Placeholders()))
        if error := _first(self._kinds[item.key.kind], {"id": item.key.id.rpartition("/")[2], **body}):
            return error
        for name, conf in body.get("plugins", {}).items():
            if name not in self._plugin_schemas:
                return f"the gateway has no plugin {name}; add it to its plugin list"
            if error := _first(self._plugin(name), conf):
                return f"plugins/{name}{error}"
        return None

    def _plugin(self, name: str) -> jsonschema_rs.Validator:
        if name not in self._plugins:
            self._plugins[name] = _validator(self._plugin_schemas[name])
        return self._plugins[name]


def _validator(schema: Schema) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(dict(schema))


def _first(validator: jsonschema_rs.Validator, value: Json) -> str | None:
    if validator.is_valid(value):  # a much shorter question, and nearly always the last one
        return None
    for error in validator.iter_errors(value):
        place = "/".join(map(str, error.instance_path))
        # The validator's message quotes the value, which may hold a secret; the rule's name does not.
        return f"/{place}: breaks the gateway's rule {'/'.join(map(str, error.schema_path))}"
    return None
