"""cors: which pages of other origins a browser lets call."""

import re
from typing import Any, ClassVar

from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.patterns import InvalidPattern, pattern
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services

_ORIGINS = r"^(\*|\*\*|null|\w+://[^,]+(,\w+://[^,]+)*)$"
_EVERY_METHOD = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE"
_TEXTS: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 4096},
    "minItems": 1,
    "uniqueItems": True,
}


class Cors(Plugin):
    """Answers preflight requests, and says in every answer who may read it."""

    name = "cors"
    priority = 4000
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "allow_origins": {"type": "string", "pattern": _ORIGINS, "default": "*"},
            "allow_methods": {"type": "string", "default": "*"},
            "allow_headers": {"type": "string", "default": "*"},
            "expose_headers": {"type": "string"},
            "max_age": {"type": "integer", "default": 5},
            "allow_credential": {"type": "boolean", "default": False},
            "allow_origins_by_regex": _TEXTS,
            "allow_origins_by_metadata": _TEXTS,
            "timing_allow_origins": {"type": "string", "pattern": _ORIGINS},
            "timing_allow_origins_by_regex": _TEXTS,
        },
    }
    metadata_schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "allow_origins": {
                "type": "object",
                "additionalProperties": {"type": "string", "pattern": _ORIGINS},
            }
        },
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        open_names = ("allow_origins", "allow_methods", "allow_headers", "expose_headers")
        if conf["allow_credential"] and any(
            conf.get(name) == "*" for name in (*open_names, "timing_allow_origins")
        ):
            return "you can not set '*' for other option when 'allow_credential' is true"
        for name in ("allow_origins_by_regex", "timing_allow_origins_by_regex"):
            for text in conf.get(name, ()):
                try:
                    pattern(text)
                except InvalidPattern as error:
                    return f"{text}: {error}"
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        metadata = (services.metadata(self.name) or {}).get("allow_origins", {})
        names = conf.get("allow_origins_by_metadata")
        self._shared = [metadata.get(name) for name in names] if names is not None else None
        self._pattern = _any_of(conf.get("allow_origins_by_regex"))
        self._timing_pattern = _any_of(conf.get("timing_allow_origins_by_regex"))

    def rewrite(self, context: Context) -> Reply | None:
        # A later plugin may change the header; the browser's word counts.
        context.notes[self] = context.headers.get("origin")
        return Reply(200) if context.method == "OPTIONS" else None

    def header_filter(self, context: Context) -> None:
        origin: str | None = context.notes.get(self)
        headers = context.response_headers
        if self.conf["allow_origins"] != "*":
            headers.add("Vary", "Origin")
        allowed = self._allowed(origin)
        if allowed is not None:
            self._allow(context, allowed)
        timing = self._timing(origin)
        if timing is not None and timing in (origin, "*"):
            headers.set("Timing-Allow-Origin", timing)

    def _allowed(self, origin: str | None) -> str | None:
        """The value of Access-Control-Allow-Origin, if there is to be one."""
        if self._shared is None:
            allowed = self._own(origin)
        else:
            allowed = self._of_metadata(self._shared, origin)
            if allowed not in (origin, "*") and self.conf["allow_origins"] != "*":
                allowed = self._own(origin)
        return allowed if allowed in (origin, "*") else None

    def _own(self, origin: str | None) -> str | None:
        if self._pattern is not None:
            return origin if origin is not None and self._pattern.search(origin) else None
        return _chosen(self.conf["allow_origins"], origin)

    def _of_metadata(self, shared: list[str | None], origin: str | None) -> str | None:
        for origins in shared:
            chosen = _chosen(origins, origin) if origins is not None else None
            if chosen == "*" or (origin is not None and chosen == origin):
                return origin
        return None

    def _timing(self, origin: str | None) -> str | None:
        if self._timing_pattern is not None:
            return origin if origin is not None and self._timing_pattern.search(origin) else None
        origins = self.conf.get("timing_allow_origins")
        return _chosen(origins, origin) if origins is not None else None

    def _allow(self, context: Context, origin: str) -> None:
        headers, conf = context.response_headers, self.conf
        methods = _EVERY_METHOD if conf["allow_methods"] == "**" else conf["allow_methods"]
        headers.set("Access-Control-Allow-Origin", origin)
        headers.set("Access-Control-Allow-Methods", methods)
        headers.set("Access-Control-Max-Age", str(conf["max_age"]))
        if conf.get("expose_headers"):
            headers.set("Access-Control-Expose-Headers", conf["expose_headers"])
        asked = context.headers.get("access-control-request-headers")
        headers.set(
            "Access-Control-Allow-Headers", asked if conf["allow_headers"] == "**" else conf["allow_headers"]
        )
        if conf["allow_credential"]:
            headers.set("Access-Control-Allow-Credentials", "true")


def _chosen(origins: str, origin: str | None) -> str | None:
    """What a list of origins answers to one of them."""
    if origins == "**":
        return origin or "*"
    if "," in origins:
        return origin if origin in origins.split(",") else None
    return origins


def _any_of(patterns: list[str] | None) -> re.Pattern[str] | None:
    return pattern("|".join(patterns)) if patterns else None
