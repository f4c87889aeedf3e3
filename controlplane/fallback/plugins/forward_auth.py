"""forward-auth: somebody else is asked over HTTP whether a request may go on."""

from typing import Any, ClassVar
from urllib.parse import urlsplit

import structlog

from controlplane.fallback.http.answers import Answer, Origin, Patience, UpstreamFailed
from controlplane.fallback.http.headers import one_line
from controlplane.fallback.runtime.context import BodyUnavailable, Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services
from controlplane.fallback.runtime.templates import template

_PORTS = {"http": 80, "https": 443}
_NAMES: dict[str, Any] = {"type": "array", "default": [], "items": {"type": "string"}}


class ForwardAuth(Plugin):
    """An answer below 300 lets the request go on; any other one is the caller's."""

    name = "forward-auth"
    priority = 2002
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "uri": {"type": "string"},
            "allow_degradation": {"type": "boolean", "default": False},
            "status_on_error": {"type": "integer", "minimum": 200, "maximum": 599, "default": 403},
            "ssl_verify": {"type": "boolean", "default": True},
            "request_method": {"type": "string", "default": "GET", "enum": ["GET", "POST"]},
            "max_req_body_size": {"type": "integer", "minimum": 1, "default": 67108864},
            "request_headers": _NAMES,
            "extra_headers": {
                "type": "object",
                "minProperties": 1,
                "patternProperties": {"^[^:]+$": {"type": "string"}},
            },
            "upstream_headers": _NAMES,
            "client_headers": _NAMES,
            "timeout": {"type": "integer", "minimum": 1, "maximum": 60000, "default": 3000},
            "keepalive": {"type": "boolean", "default": True},
            "keepalive_timeout": {"type": "integer", "minimum": 1000, "default": 60000},
            "keepalive_pool": {"type": "integer", "minimum": 1, "default": 5},
        },
        "required": ["uri"],
    }

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._extra = {name: template(value) for name, value in conf.get("extra_headers", {}).items()}
        self._patience = Patience(
            timeout_s=conf["timeout"] / 1000,
            keep=conf["keepalive_pool"] if conf["keepalive"] else 0,
            keep_s=conf["keepalive_timeout"] / 1000,
        )
        self._log = structlog.get_logger("gateway.forward_auth")

    async def access(self, context: Context) -> Reply | None:
        posts = self.conf["request_method"] == "POST"
        try:
            body = await context.read_body(self.conf["max_req_body_size"]) if posts else b""
        except BodyUnavailable:
            return Reply(413)
        try:
            answer = await self._ask(context, body)
        except (UpstreamFailed, ValueError) as error:
            self._log.warning("nobody could be asked", object=self.owner.resource_key, reason=str(error))
            return None if self.conf["allow_degradation"] else Reply(self.conf["status_on_error"])
        if answer.status >= 300:
            for name in self.conf["client_headers"]:
                value = answer.headers.get(name.lower())
                if value is not None:
                    context.response_headers.set(name, value)
            return Reply(answer.status, answer.body or b"")
        for name in self.conf["upstream_headers"]:
            # What the one who was asked does not say, the client cannot say either.
            context.headers.set(name.lower(), answer.headers.get(name.lower()))
        return None

    async def _ask(self, context: Context, body: bytes) -> Answer:
        parts = urlsplit(self.conf["uri"])
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("the uri is no address")
        origin = Origin(
            parts.scheme,
            parts.hostname,
            parts.port or _PORTS[parts.scheme],
            parts.hostname,
            self.conf["ssl_verify"],
        )
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        posts = self.conf["request_method"] == "POST"
        headers = {"Host": parts.netloc, **self._headers(context)}
        if posts:
            headers["Content-Length"] = str(len(body))
        lines = [f"{self.conf['request_method']} {target} HTTP/1.1"]
        lines += [f"{name}: {one_line(value)}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
        return await self.services.pool.send(origin, request, self._patience, ())

    def _headers(self, context: Context) -> dict[str, str]:
        """What the one who is asked is told of the request."""
        found = {
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Method": context.method,
            "X-Forwarded-Host": context.host,
            "X-Forwarded-Uri": context.address.full,
            "X-Forwarded-For": context.client_ip,
        }
        encoding = context.headers.get("content-encoding")
        if self.conf["request_method"] == "POST" and encoding is not None:
            found["Content-Encoding"] = encoding
        found |= {name: value.text_for(context) for name, value in self._extra.items()}
        for name in self.conf["request_headers"]:
            value = context.headers.get(name.lower())
            if value is not None:
                found.setdefault(name, value)
        return found
