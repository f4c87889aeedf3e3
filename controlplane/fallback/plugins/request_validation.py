"""request-validation: refuses requests whose headers or body do not meet a JSON Schema."""

from typing import Any, ClassVar
from urllib.parse import parse_qsl

import jsonschema_rs

from controlplane.fallback import cjson
from controlplane.fallback.runtime.context import BodyUnavailable, Context, Reply
from controlplane.fallback.runtime.plugin import Conf, Outcome, Plugin, Schema, Services
from controlplane.fallback.schema.validator import check

_FORM = "application/x-www-form-urlencoded"


class RequestValidation(Plugin):
    """What was checked is what the provider gets: the body goes out as it was understood here."""

    name = "request-validation"
    priority = 2800
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "header_schema": {"type": "object"},
            "body_schema": {"type": "object"},
            "max_req_body_size": {"type": "integer", "minimum": 1, "default": 67108864},
            "rejected_code": {"type": "integer", "minimum": 200, "maximum": 599, "default": 400},
            "rejected_msg": {"type": "string", "minLength": 1, "maxLength": 256},
        },
        "anyOf": [{"required": ["header_schema"]}, {"required": ["body_schema"]}],
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        for name in ("body_schema", "header_schema"):
            problem = _schema_problem(conf.get(name, {}))
            if problem is not None:
                return problem
        return None

    def rewrite(self, context: Context) -> Outcome:
        if "header_schema" in self.conf:
            problem = check(self.conf["header_schema"], dict(context.headers.items()))
            if problem is not None:
                return self._reject(problem)
        return self._check_body(context) if "body_schema" in self.conf else None

    async def _check_body(self, context: Context) -> Reply | None:
        try:
            data = await context.read_body(self.conf["max_req_body_size"])
        except BodyUnavailable:
            return self._reject(None)
        kinds = dict(context.headers.items()).get("content-type", "")
        if not data or isinstance(kinds, list):
            # Of two content types we could mean one and the provider the other.
            return self._reject(None)
        if kinds.lower().startswith(_FORM):
            problem = check(self.conf["body_schema"], _fields(data))
            return self._reject(problem) if problem is not None else None
        try:
            value = cjson.decode(data)
        except cjson.InvalidJson as error:
            return self._reject(str(error))
        problem = check(self.conf["body_schema"], value)
        if problem is not None:
            return self._reject(problem)
        context.replace_body(value)
        return None

    def _reject(self, problem: str | None) -> Reply:
        return Reply(self.conf["rejected_code"], self.conf.get("rejected_msg") or problem)


def _schema_problem(schema: Any) -> str | None:
    """What is wrong with a schema of the user's."""
    try:
        jsonschema_rs.meta.validate(schema)
        jsonschema_rs.validator_for(schema)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        return str(error).splitlines()[0]
    return _unknown(schema)


def _unknown(schema: Any) -> str | None:
    """A keyword that would be ignored is refused, so that nobody relies on it."""
    if not isinstance(schema, dict):
        return None
    for keyword in ("$ref", "propertyNames"):
        if keyword in schema:
            return f"the keyword {keyword} is not supported by this gateway"
    inner = [
        schema[name]
        for name in ("not", "if", "then", "else", "additionalProperties", "additionalItems", "contains")
        if name in schema
    ]
    items = schema.get("items", ())
    inner += items if isinstance(items, list | tuple) else [items]
    for name in ("allOf", "anyOf", "oneOf"):
        inner += schema.get(name, ())
    for name in ("properties", "patternProperties", "dependencies"):
        inner += schema.get(name, {}).values()
    return next((problem for one in inner if (problem := _unknown(one)) is not None), None)


def _fields(data: bytes) -> dict[str, Any]:
    """The fields of a form; one that is repeated is a list, one without a value is true."""
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True):
        if name in fields:
            before = fields[name]
            fields[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            fields[name] = value
    return fields
