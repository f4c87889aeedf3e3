"""proxy-rewrite: changes what the provider gets: address, method, host and headers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from controlplane.fallback.http.headers import one_line
from controlplane.fallback.lua_values import tostring
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.patterns import InvalidPattern, pattern, replacement
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services
from controlplane.fallback.runtime.templates import Template, template

_METHODS = [
    *("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "MKCOL", "COPY"),
    *("MOVE", "PROPFIND", "LOCK", "UNLOCK", "PATCH", "TRACE"),
]
_CAPTURE = re.compile(r"(?<!\\)\$\{?(\d+)\}?")
_HOST = "host"
"""What an upstream sees as its Host is for `host` and the upstream to decide, whatever the header says."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ONE = {"oneOf": [{"type": "string"}, {"type": "number"}]}
_MANY = {
    "oneOf": [
        {"type": "string"},
        {"type": "number"},
        {"type": "array", "minItems": 1, "items": _ONE},
    ]
}
_FIELDS = {"type": "object", "minProperties": 1, "patternProperties": {"^[^:]+$": _MANY}}
_SAFE = "/:@!$&'()*+,;=~-._"

Operation = tuple[str, list[Template]]


class ProxyRewrite(Plugin):
    """Header values may hold variables, and `$1` for what `regex_uri` has captured."""

    name = "proxy-rewrite"
    priority = 1008
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "uri": {"type": "string", "minLength": 1, "maxLength": 4096, "pattern": r"^\/.*"},
            "method": {"type": "string", "enum": _METHODS},
            "regex_uri": {"type": "array", "minItems": 2, "items": {"type": "string"}},
            "host": {"type": "string", "pattern": r"^[0-9a-zA-Z-.]+(:\d{1,5})?$"},
            "headers": {
                "oneOf": [
                    {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": False,
                        "properties": {
                            "add": _FIELDS,
                            "set": _FIELDS,
                            "remove": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "string", "pattern": "^[^:]+$"},
                            },
                        },
                    },
                    {"type": "object", "minProperties": 1, "patternProperties": {"^[^:]+$": _ONE}},
                ]
            },
            "use_real_request_uri_unsafe": {"type": "boolean", "default": False},
        },
        "minProperties": 1,
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        pairs = conf.get("regex_uri") or []
        if len(pairs) % 2:
            return "The length of regex_uri should be an even number"
        for regex, new in zip(pairs[::2], pairs[1::2], strict=True):
            try:
                pattern(regex)
                replacement(new)
            except InvalidPattern as error:
                return f"invalid regex_uri({regex}, {new}): {error}"
        headers = conf.get("headers") or {}
        if not _is_grouped(headers):
            for name, value in headers.items():
                if not isinstance(value, str | int | float) or isinstance(value, bool):
                    return "invalid type as header value"
                if not re.fullmatch(r"[0-9a-zA-Z\-_.!#$%&'*+^`|~]+", name):
                    return "invalid field character in header"
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        headers = conf.get("headers") or {}
        grouped = _is_grouped(headers)
        self._add = _operations(headers.get("add") or {} if grouped else {})
        operations = _operations(headers.get("set") or {} if grouped else headers)
        self._fixed = {
            name: one_line(values[0].text) for name, values in operations if _is_fixed(name, values)
        }
        self._set = [(name, values) for name, values in operations if name not in self._fixed]
        remove = frozenset(name.lower() for name in (headers.get("remove") or []) if grouped)
        self._remove = remove - {_HOST}
        pairs = conf.get("regex_uri") or []
        self._patterns = [
            (pattern(regex), replacement(new)) for regex, new in zip(pairs[::2], pairs[1::2], strict=True)
        ]
        self._uri = template(conf["uri"]) if "uri" in conf else None

    def rewrite(self, context: Context) -> Reply | None:
        captures = self._rewrite_uri(context)
        headers = context.headers
        for name, values in self._add:
            for value in values:
                headers.add(name, _text(value, captures, context))
        headers.put(self._fixed)
        for name, values in self._set:
            if len(values) == 1:
                headers.set(name, _text(values[0], captures, context))
            else:
                headers.set(name, [_text(value, captures, context) for value in values])
        headers.remove(self._remove)
        if "method" in self.conf:
            context.method = self.conf["method"]
        if "host" in self.conf:
            context.values["upstream_host"] = self.conf["host"]
        return None

    def _rewrite_uri(self, context: Context) -> list[str] | None:
        """Decide the address for an upstream; what a pattern has captured is returned."""
        unsafe = self.conf["use_real_request_uri_unsafe"]
        captures: list[str] | None = None
        start = context.address.raw if unsafe else context.address.path
        query = context.query
        if self._uri is not None:
            path, mark, own = self._uri.text_for(context).partition("?")
            queries = [text for text in (own if mark else "", query) if text]
        elif self._patterns:
            path, captures = self._substituted(start)
            mark = own = ""
            # A question mark that was in the path before is a character of it and separates nothing.
            if unsafe or "?" not in start:
                path, mark, own = path.partition("?")
            # A real request's query is in it already.
            queries = [text for text in (own if mark else "", "" if unsafe else query) if text]
        elif unsafe:
            path, _, rest = start.partition("?")
            queries = [rest] if rest else []
        else:
            return None
        target = path if unsafe else quote(path, safe=_SAFE, errors="surrogateescape")
        target += "?" + "&".join(queries) if queries else ""
        context.values["upstream_target"] = _CONTROL.sub(_escaped, target)
        return captures

    def _substituted(self, path: str) -> tuple[str, list[str] | None]:
        """The path by the first pattern that matches it, and what that has captured."""
        for regex, new in self._patterns:
            found = regex.search(path)
            if found is not None:
                captures = [found.group(), *(group or "" for group in found.groups())]
                return path[: found.start()] + new(captures) + path[found.end() :], captures
        return path, None


def _is_grouped(headers: Mapping[str, Any]) -> bool:
    return any(isinstance(headers.get(name), dict | list) for name in ("add", "set", "remove"))


def _operations(fields: Mapping[str, Any]) -> list[Operation]:
    return [
        (name.lower(), [template(tostring(one)) for one in (value if isinstance(value, list) else [value])])
        for name, value in fields.items()
        if name.lower() != _HOST
    ]


def _is_fixed(name: str, values: Sequence[Template]) -> bool:
    """Whether a header gets the same value for every request: nothing is to be looked up then."""
    return len(values) == 1 and values[0].text != "" and "$" not in values[0].text and "_" not in name


def _text(value: Template, captures: list[str] | None, context: Context) -> str:
    if captures is None:
        return one_line(value.text_for(context))
    return one_line(template(_captured(value.text, captures)).text_for(context))


def _captured(text: str, captures: list[str]) -> str:
    def replace(found: re.Match[str]) -> str:
        number = int(found.group(1))
        return captures[number] if number < len(captures) else ""

    return _CAPTURE.sub(replace, text)


def _escaped(found: re.Match[str]) -> str:
    """What would end the first line of a request."""
    return f"%{ord(found.group()):02X}"
