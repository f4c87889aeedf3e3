"""ip-restriction: who may call, by address."""

import ipaddress
from collections.abc import Iterable
from typing import Any, ClassVar

from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services
from controlplane.fallback.schema.fields import IP

_ADDRESSES: dict[str, Any] = {"type": "array", "items": {"anyOf": IP}, "minItems": 1}


class IpRestriction(Plugin):
    """Addresses and networks that are let in, or those that are not."""

    name = "ip-restriction"
    priority = 3000
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "message": {
                "type": "string",
                "minLength": 1,
                "maxLength": 1024,
                "default": "Your IP address is not allowed",
            },
            "response_code": {"type": "integer", "minimum": 403, "maximum": 404, "default": 403},
            "whitelist": _ADDRESSES,
            "blacklist": _ADDRESSES,
        },
        "oneOf": [{"required": ["whitelist"]}, {"required": ["blacklist"]}],
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        for address in (*conf.get("whitelist", ()), *conf.get("blacklist", ())):
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError:
                return f"invalid ip address: {address}"
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._listed = _networks(conf.get("whitelist") or conf["blacklist"])
        self._listed_may = "whitelist" in conf

    def access(self, context: Context) -> Reply | None:
        if self._is_listed(context.client_ip) == self._listed_may:
            return None
        return Reply(self.conf["response_code"], {"message": self.conf["message"]})

    def _is_listed(self, address: str) -> bool:
        try:
            client = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(client in network for network in self._listed)


def _networks(addresses: Iterable[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(address, strict=False) for address in addresses]
