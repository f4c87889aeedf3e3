"""consumer-restriction: who may use a route, and with which methods."""

from typing import Any, ClassVar

from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services
from controlplane.fallback.runtime.variables import variable
from controlplane.fallback.schema.fields import METHOD

_LIST: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "string"}}


class ConsumerRestriction(Plugin):
    """Refuses by name of the consumer, its group, the route or the service."""

    name = "consumer-restriction"
    priority = 2400
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "enum": ["consumer_name", "service_id", "route_id", "consumer_group_id"],
                "default": "consumer_name",
            },
            "blacklist": _LIST,
            "whitelist": _LIST,
            "allowed_by_methods": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "user": {"type": "string"},
                        "methods": {"type": "array", "minItems": 1, "items": METHOD},
                    },
                },
            },
            "rejected_code": {"type": "integer", "minimum": 200, "default": 403},
            "rejected_msg": {"type": "string"},
        },
        "anyOf": [
            {"required": ["blacklist"]},
            {"required": ["whitelist"]},
            {"required": ["allowed_by_methods"]},
        ],
    }

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._blacklist = frozenset(conf.get("blacklist", ()))
        self._whitelist = frozenset(conf.get("whitelist", ()))

    def access(self, context: Context) -> Reply | None:
        kind = self.conf["type"]
        value = variable(kind)(context)
        if not value:
            return Reply(
                401, {"message": f"The request is rejected, please check the {kind} for this request"}
            )
        if value in self._blacklist:
            return self._reject()
        listed = value in self._whitelist
        if self._whitelist and not listed:
            return self._reject()
        if not listed and not self._method_allowed(value, context.method):
            return self._reject()
        return None

    def _method_allowed(self, value: str, method: str) -> bool:
        for entry in self.conf.get("allowed_by_methods", ()):
            if entry.get("user") == value:
                return method in entry.get("methods", ())
        return True

    def _reject(self) -> Reply:
        message = self.conf.get("rejected_msg") or f"The {self.conf['type']} is forbidden."
        return Reply(self.conf["rejected_code"], {"message": message})
