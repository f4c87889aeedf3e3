"""What Lua functions can ask of the gateway about the request that they run for."""

import math
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from controlplane.clock import Clock
from controlplane.fallback import cjson
from controlplane.fallback.http.exchange import BodyTooLarge
from controlplane.fallback.http.headers import Value, one_line
from controlplane.fallback.lua_values import tostring
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.templates import template
from controlplane.fallback.runtime.variables import variable

_FIELDS = {
    "consumer_name",
    "consumer_group_id",
    "route_id",
    "route_name",
    "service_id",
    "service_name",
    "balancer_ip",
    "picked_ai_instance_name",
}


class Host:
    """The functions behind `ngx` and `core`; `context` is the request of the call that is running.

    Texts pass as bytes: header values are Latin-1 already, everything else is encoded as UTF-8.
    """

    def __init__(self, clock: Clock) -> None:
        self.context: Context | None = None
        self._clock = clock
        self._log = structlog.get_logger("gateway.lua")

    def functions(self, lua: Any) -> Any:
        """A Lua table of all functions."""
        self._lua = lua
        offered: dict[str, Callable[..., Any]] = {
            "now": self._clock.now,
            "log": self._write_log,
            "variable": self._variable,
            "set_variable": self._set_variable,
            "field": self._field,
            "resolve": self._resolve,
            "request_header": self._request_header,
            "request_headers": self._request_headers,
            "set_request_header": self._set_request_header,
            "add_request_header": self._add_request_header,
            "response_header": self._response_header,
            "response_headers": self._response_headers,
            "set_response_header": self._set_response_header,
            "add_response_header": self._add_response_header,
            "status": self._status,
            "set_status": self._set_status,
            "arguments": self._arguments,
            "body_problem": self._body_problem,
            "body_field": self._body_field,
            "set_body_field": self._set_body_field,
            "body_text": self._body_text,
            "set_body_text": self._set_body_text,
            "encode": self._encode,
            "decode": self._decode,
        }
        return lua.table_from(offered)

    @property
    def _request(self) -> Context:
        if self.context is None:
            raise RuntimeError("there is no request")
        return self.context

    # Values.

    def to_lua(self, value: Any) -> Any:  # any JSON value
        """A JSON value as Lua has it; null is nil."""
        if isinstance(value, str):
            return value.encode().decode("latin-1")
        if isinstance(value, dict):
            return self._lua.table_from(
                {self.to_lua(name): self.to_lua(item) for name, item in value.items()}
            )
        if isinstance(value, list):
            return self._lua.table_from([self.to_lua(item) for item in value])
        return value

    def to_body(self, value: Any) -> str | bytes | dict[str, Any] | None:
        """What a function gave as a body."""
        plain = self._from_lua(value)
        if plain is None or isinstance(plain, dict | str):
            return plain
        return orjson.dumps(plain) if isinstance(plain, list) else tostring(plain)

    def _from_lua(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.encode("latin-1").decode("utf-8", "surrogateescape")
        if hasattr(value, "items") and not isinstance(value, dict):
            entries = dict(value.items())
            if entries and all(isinstance(name, int) for name in entries):
                return [self._from_lua(entries[name]) for name in sorted(entries)]
            return {str(self._from_lua(name)): self._from_lua(item) for name, item in entries.items()}
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            return int(value)
        return value

    # The request.

    def _variable(self, name: str) -> Any:
        return _raw(variable(name)(self._request))

    def _set_variable(self, name: str, value: Any) -> None:
        self._request.values[name] = self._from_lua(value)

    def _field(self, name: str) -> Any:
        if name == "picked_ai_instance_name":
            name = "balancer_ip"
        return self._variable(name) if name in _FIELDS else None

    def _resolve(self, text: str) -> str:
        return template(text).text_for(self._request)

    def _request_header(self, name: str) -> str | None:
        return self._request.headers.get(name.lower())

    def _request_headers(self) -> Any:
        return self._header_table(self._request.headers.items())

    def _set_request_header(self, name: str, value: Any) -> None:
        self._request.headers.set(name.lower(), _header_value(value))

    def _add_request_header(self, name: str, value: Any) -> None:
        self._request.headers.add(name.lower(), one_line(tostring(value)))

    def _arguments(self, *_: Any) -> Any:
        return self.to_lua(dict(self._request.arguments))

    def _body_problem(self, largest: float | None) -> str | None:
        """Why the request has no JSON object that a function could look into."""
        request = self._request
        if largest is not None and len(request.body or b"") > largest:
            return f"could not get body: {BodyTooLarge(len(request.body or b''), int(largest))}"
        return None if isinstance(request.json_or_none(), dict) else "could not parse JSON request body"

    def _body_field(self, name: str) -> tuple[bool, Any]:
        """Whether a field is there, and its value."""
        body, known = self._request.parsed_body(), self._from_lua(name)
        return known in body, self.to_lua(body.get(known))

    def _set_body_field(self, name: str, value: Any) -> None:
        body, known = self._request.parsed_body(), self._from_lua(name)
        if value is None:
            body.pop(known, None)
        else:
            body[known] = self._from_lua(value)
        self._request.changed_json()

    def _body_text(self) -> str:
        return (self._request.body or b"").decode("latin-1")

    def _set_body_text(self, text: str) -> None:
        self._request.set_body(text.encode("latin-1"))

    # The answer.

    def _status(self) -> int:
        return self._request.status

    def _set_status(self, status: float) -> None:
        self._request.status = int(status)

    def _response_header(self, name: str) -> Any:
        return self.to_lua(self._request.response_headers.get(name))

    def _response_headers(self) -> Any:
        return self._header_table(
            (name.lower(), value) for name, value in self._request.response_headers.items()
        )

    def _set_response_header(self, name: str, value: Any) -> None:
        self._request.response_headers.set(name, _header_value(value))

    def _add_response_header(self, name: str, value: Any) -> None:
        self._request.response_headers.add(name, tostring(value))

    def _header_table(self, items: Any) -> Any:
        fields = {}
        for name, value in items:
            fields[name] = self._lua.table_from(value) if isinstance(value, list) else value
        return self._lua.table_from(fields)

    # Helpers.

    def _encode(self, value: Any) -> str:
        return cjson.encode(self._from_lua(value)).decode("latin-1")

    def _decode(self, text: str) -> Any:
        try:
            return self.to_lua(cjson.decode(text.encode("latin-1")))
        except cjson.InvalidJson:
            return None

    def _write_log(self, level: str, *parts: Any) -> None:
        self._log.info("lua", level=level, text="".join(tostring(part) for part in parts)[:1000])


def _raw(value: Any) -> Any:
    """A variable's value for Lua: texts that are not Latin-1 as their UTF-8 bytes."""
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def _header_value(value: Any) -> Value | None:
    if value is None:
        return None
    if hasattr(value, "values") and not isinstance(value, str):
        return [one_line(tostring(item)) for item in value.values()]
    return one_line(tostring(value))
