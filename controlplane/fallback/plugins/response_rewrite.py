"""response-rewrite: changes what the client gets: status, headers and body."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from controlplane.fallback.lua_values import tostring
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.expressions import InvalidExpression, compile_expression
from controlplane.fallback.runtime.owner import Owner
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
                re.compile(one["regex"])
            except re.error as error:
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
        self._filters = [(_pattern(one), one["replace"], one["scope"]) for one in conf.get("filters", ())]

    def runs(self, phase: str) -> bool:
        return phase != "body_filter" or self._body is not None or bool(self._filters)

    def header_filter(self, context: Context) -> None:
        if self._condition is not None and not self._condition(context):
            return
        context.notes[self] = []
        if "status_code" in self.conf:
            context.status = self.conf["status_code"]
        headers = context.response_headers
        if self._body is not None or self._filters:
            for name in ("Content-Length", "Content-Encoding", "Last-Modified", "ETag"):
                headers.set(name, None)
        for name, value in self._add:
            headers.add(name, value.text_for(context))
        for name, value in self._set:
            headers.set(name, value.text_for(context))
        for name in self._remove:
            headers.set(name, None)

    def body_filter(self, context: Context, data: bytes, last: bool) -> bytes:
        held: list[bytes] | None = context.notes.get(self)
        if held is None:
            return data
        if self._body is not None:
            if held:
                return b""
            held.append(self._body)
            return self._body
        held.append(data)
        if not last:
            return b""
        text = b"".join(held)[: self.conf["max_resp_body_size"]].decode("utf-8", "surrogateescape")
        for pattern, replacement, scope in self._filters:
            text = pattern.sub(_replacement(replacement), text, count=1 if scope == "once" else 0)
        return text.encode("utf-8", "surrogateescape")


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


def _pattern(one: Conf) -> re.Pattern[str]:
    flags = re.IGNORECASE if "i" in one["options"] else re.RegexFlag(0)
    flags |= re.DOTALL if "s" in one["options"] else re.RegexFlag(0)
    return re.compile(one["regex"], flags)


def _replacement(text: str) -> str:
    """PCRE's `$1` is Python's `\\1`."""
    return re.sub(r"\$\{?(\d+)\}?", r"\\g<\1>", text.replace("\\", "\\\\"))
