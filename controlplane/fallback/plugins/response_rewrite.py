"""response-rewrite: changes what the client gets: status, headers and body."""

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import structlog

from controlplane.fallback.lua_values import tostring
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.expressions import InvalidExpression, compile_expression
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.patterns import InvalidPattern, Substitution
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services
from controlplane.fallback.runtime.templates import template

_ONE = {"oneOf": [{"type": "string"}, {"type": "number"}]}
_FIELDS = {"type": "object", "minProperties": 1, "patternProperties": {"^[^:]+$": _ONE}}


class ResponseRewrite(Plugin):
    """Only answers that meet `vars` are changed; header values may hold variables."""

    name = "response-rewrite"
    priority = 899
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "max_resp_body_size": {"type": "integer", "minimum": 1, "default": 67108864},
            "headers": {
                "anyOf": [
                    _FIELDS,
                    {
                        "properties": {
                            "add": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "string", "pattern": "^[^:]+:[^:]*[^/]$"},
                            },
                            "set": _FIELDS,
                            "remove": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "string", "pattern": "^[^:]+$"},
                            },
                        }
                    },
                ]
            },
            "body": {"type": "string"},
            "body_base64": {"type": "boolean", "default": False},
            "status_code": {"type": "integer", "minimum": 200, "maximum": 598},
            "vars": {"type": "array"},
            "filters": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["regex", "replace"],
                    "properties": {
                        "regex": {"type": "string", "minLength": 1},
                        "scope": {"type": "string", "enum": ["once", "global"], "default": "once"},
                        "replace": {"type": "string"},
                        "options": {"type": "string", "default": "jo"},
                    },
                },
            },
        },
        "dependencies": {
            "body": {"not": {"required": ["filters"]}},
            "filters": {"not": {"required": ["body"]}},
        },
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        if conf.get("body_base64"):
            try:
                if not conf.get("body") or not base64.b64decode(conf["body"], validate=True):
                    return "invalid base64 content"
            except (ValueError, binascii.Error):
                return "invalid base64 content"
        if "vars" in conf:
            try:
                compile_expression(conf["vars"])
            except InvalidExpression as error:
                return f"failed to validate the 'vars' expression: {error}"
        for one in conf.get("filters", ()):
            try:
                _substitution(one)
            except InvalidPattern as error:
                return f'regex "{one["regex"]}" validation failed: {error}'
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._condition = compile_expression(conf["vars"]) if conf.get("vars") else None
        headers = conf.get("headers") or {}
        grouped = any(isinstance(headers.get(name), dict | list) for name in ("add", "set", "remove"))
        self._set = _templates(headers.get("set") or {} if grouped else headers)
        self._add = [_added(line) for line in (headers.get("add") or [])] if grouped else []
        self._remove = list(headers.get("remove") or []) if grouped else []
        self._body = _body(conf)
        self._filters = [_substitution(one) for one in conf.get("filters", ())]
        self._log = structlog.get_logger("gateway.rewrite")

    def runs(self, phase: str) -> bool:
        return phase != "body_filter" or self._body is not None or bool(self._filters)

    def header_filter(self, context: Context) -> None:
        if self._condition is not None and not self._condition(context):
            return
        headers = context.response_headers
        context.notes[self] = _Held(headers.first("Content-Encoding"))
        if "status_code" in self.conf:
            context.status = self.conf["status_code"]
        if self._body is not None or self._filters:
            for name in ("Content-Length", "Content-Encoding", "Last-Modified", "ETag"):
                headers.set(name, None)
        for name, value in self._add:
            headers.add(name, value.text_for(context))
        for name, value in self._set:
            headers.set(name, value.text_for(context) or None)
        for name in self._remove:
            headers.set(name, None)

    def body_filter(self, context: Context, data: bytes, last: bool) -> bytes:
        held: _Held | None = context.notes.get(self)
        if held is None:
            return data
        if self._body is not None:
            if held.parts:
                return b""
            held.parts.append(self._body)
            return self._body
        held.parts.append(data)
        return self._filtered(held) if last else b""

    def _filtered(self, held: "_Held") -> bytes:
        most = self.conf["max_resp_body_size"]
        data = b"".join(held.parts)[:most]
        if held.encoding is not None:
            try:
                data = _decoded(data, held.encoding, most)
            except (ValueError, zlib.error) as error:
                # Not as it came either, for what is to be taken out may be in it.
                self._log.error(
                    "a body cannot be filtered", object=self.owner.resource_key, reason=str(error)
                )
                return b""
        for substitute in self._filters:
            data = substitute(data)
        return data


@dataclass(slots=True)
class _Held:
    """What has come of an answer that is changed."""

    encoding: str | None
    parts: list[bytes] = field(default_factory=list)


def _templates(fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, template(tostring(value))) for name, value in fields.items()]


def _added(line: str) -> tuple[str, Any]:
    name, _, value = line.partition(":")
    return name.strip(), template(value.strip())


def _body(conf: Conf) -> bytes | None:
    body = conf.get("body")
    if body is None:
        return None
    return base64.b64decode(body) if conf.get("body_base64") else str(body).encode()


def _substitution(one: Conf) -> Substitution:
    return Substitution(one["regex"], one["replace"], one["options"], everywhere=one["scope"] == "global")


def _decoded(data: bytes, encoding: str, most: int) -> bytes:
    if encoding != "gzip":
        raise ValueError(f"nobody here reads the encoding {encoding[:20]}")
    return zlib.decompressobj(wbits=31).decompress(data, most)
