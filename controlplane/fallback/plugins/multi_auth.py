"""multi-auth: several ways to authenticate, of which one must succeed."""

from collections.abc import Mapping
from typing import ClassVar

from controlplane.fallback.plugins.key_auth import KeyAuth
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services
from controlplane.fallback.schema.validator import check

_WAYS: Mapping[str, type[KeyAuth]] = {KeyAuth.name: KeyAuth}


class MultiAuth(Plugin):
    """Tries each way in order; what a failed one leaves in the response headers stays there."""

    name = "multi-auth"
    priority = 2600
    is_auth = True
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {"auth_plugins": {"type": "array", "minItems": 2}},
        "required": ["auth_plugins"],
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        for entry in conf["auth_plugins"]:
            for name, inner in entry.items() if isinstance(entry, dict) else ():
                if name not in _WAYS:
                    return f"{name} plugin did not found"
                problem = check(_WAYS[name].schema, inner)
                if problem is not None:
                    return f"plugin {name} check schema failed: {problem}"
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._ways: list[KeyAuth] = []
        for entry in conf["auth_plugins"]:
            for name, inner in entry.items():
                check(_WAYS[name].schema, inner)
                self._ways.append(_WAYS[name](inner, owner, services))

    def rewrite(self, context: Context) -> Reply | None:
        for way in self._ways:
            if way.rewrite(context) is None:
                return None
        return Reply(401, {"message": "Authorization Failed"})
