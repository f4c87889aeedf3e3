"""http-logger: reports every request to an address, in batches."""

from typing import Any, ClassVar
from urllib.parse import urlsplit

import orjson

from controlplane.fallback.http.answers import Origin, Patience, UpstreamFailed
from controlplane.fallback.runtime.batches import Batches, BatchRules, NotSent
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.expressions import InvalidExpression, compile_expression
from controlplane.fallback.runtime.log_entries import Entry, entry_maker, full_entry
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services
from controlplane.fallback.schema.fields import URI

_EXPRESSION: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "array"}}
_PENDING = 8192


class HttpLogger(Plugin):
    """An entry a request, also for those that were refused; secrets of the configuration are never in it."""

    name = "http-logger"
    priority = 410
    secrets = ("auth_header",)
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "uri": URI,
            "auth_header": {"type": "string"},
            "timeout": {"type": "integer", "minimum": 1, "default": 3},
            "log_format": {"type": "object"},
            "log_format_extra": {"type": "object"},
            "include_req_body": {"type": "boolean", "default": False},
            "include_req_body_expr": _EXPRESSION,
            "include_resp_body": {"type": "boolean", "default": False},
            "include_resp_body_expr": _EXPRESSION,
            "max_req_body_bytes": {"type": "integer", "minimum": 1, "default": 524288},
            "max_resp_body_bytes": {"type": "integer", "minimum": 1, "default": 524288},
            "concat_method": {"type": "string", "enum": ["json", "new_line"], "default": "json"},
            "ssl_verify": {"type": "boolean", "default": False},
            "name": {"type": "string", "default": "http logger"},
            "max_retry_count": {"type": "integer", "minimum": 0, "default": 0},
            "retry_delay": {"type": "integer", "minimum": 0, "default": 1},
            "buffer_duration": {"type": "integer", "minimum": 1, "default": 60},
            "inactive_timeout": {"type": "integer", "minimum": 1, "default": 5},
            "batch_max_size": {"type": "integer", "minimum": 1, "default": 1000},
        },
        "required": ["uri"],
    }
    metadata_schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "log_format": {"type": "object"},
            "log_format_extra": {"type": "object"},
            "max_pending_entries": {"type": "integer", "minimum": 1, "default": _PENDING},
        },
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        for name in ("include_req_body_expr", "include_resp_body_expr"):
            try:
                compile_expression(conf.get(name, []))
            except InvalidExpression as error:
                return f"failed to validate the '{name}' expression: {error}"
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        metadata = services.metadata(self.name) or {}
        log_format = conf.get("log_format") or metadata.get("log_format")
        extra = conf.get("log_format_extra", metadata.get("log_format_extra"))
        self._make = entry_maker(log_format) if log_format else None
        self._extra = entry_maker(extra) if extra and not log_format else None
        self._wants_request = compile_expression(conf.get("include_req_body_expr", []))
        self._wants_response = compile_expression(conf.get("include_resp_body_expr", []))
        self._batches = self._collector(metadata.get("max_pending_entries", _PENDING))

    def runs(self, phase: str) -> bool:
        return phase != "body_filter" or bool(self.conf["include_resp_body"])

    def body_filter(self, context: Context, data: bytes, last: bool) -> bytes:
        collected: bytearray = context.notes.setdefault(self, bytearray())
        room = self.conf["max_resp_body_bytes"] - len(collected)
        if room > 0:
            collected.extend(data[:room])
        return data

    def log(self, context: Context) -> None:
        entry = self._make(context) if self._make is not None else self._full(context)
        if self._make is not None and context.plan is not None:
            entry["route_id"] = context.plan.route_id
            if context.plan.service_id is not None:
                entry["service_id"] = context.plan.service_id
        entry.setdefault("route_id", "no-matched")
        self._batches.add(entry)

    def _full(self, context: Context) -> Entry:
        entry = full_entry(context)
        if self.conf["include_req_body"] and context.body and self._wants_request(context):
            entry["request"]["body"] = _text(context.body[: self.conf["max_req_body_bytes"]])
        if self.conf["include_resp_body"] and self._wants_response(context):
            entry["response"]["body"] = _text(bytes(context.notes.get(self, b"")))
        if self._extra is not None:
            entry = {**self._extra(context), **entry}
        return entry

    def _collector(self, pending: int) -> Batches:
        """The batches of this configuration: an edit elsewhere must not lose what waits to be sent."""
        conf, services = self.conf, self.services
        rules = BatchRules(
            most=conf["batch_max_size"],
            quiet_s=conf["inactive_timeout"],
            longest_s=conf["buffer_duration"],
            retries=conf["max_retry_count"],
            retry_delay_s=conf["retry_delay"],
            pending=pending,
        )

        def make() -> Batches:
            batches = Batches(conf["name"], rules, self._send, services.spawn, services.clock)
            services.on_close(batches.close)
            return batches

        return services.memory.get((self.name, self.owner.resource_key, self.conf_version), make)

    async def _send(self, entries: list[Entry]) -> None:
        parts = urlsplit(self.conf["uri"])
        port = parts.port or (443 if parts.scheme == "https" else 80)
        origin = Origin(parts.scheme, parts.hostname or "", port, parts.hostname, self.conf["ssl_verify"])
        try:
            answer = await self.services.pool.send(
                origin,
                self._request(parts.netloc, parts.path or "/", parts.query, self._encode(entries)),
                Patience(timeout_s=self.conf["timeout"]),
                (),
            )
        except UpstreamFailed as error:
            raise NotSent(str(error)) from error
        if answer.status >= 400:
            raise NotSent(f"server returned status code {answer.status}")

    def _request(self, host: str, path: str, query: str, body: bytes) -> bytes:
        kind = "application/json" if self.conf["concat_method"] == "json" else "text/plain"
        lines = [
            f"POST {path}{'?' + query if query else ''} HTTP/1.1",
            f"Host: {host}",
            f"Content-Type: {kind}",
        ]
        if "auth_header" in self.conf:
            lines.append(f"Authorization: {self.conf['auth_header']}")
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body

    def _encode(self, entries: list[Entry]) -> bytes:
        if self.conf["batch_max_size"] == 1:
            return orjson.dumps(entries[0])
        if self.conf["concat_method"] == "json":
            return orjson.dumps(entries)
        return b"\n".join(orjson.dumps(entry) for entry in entries)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
