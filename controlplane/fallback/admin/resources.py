"""Reading and writing objects, with APISIX's rules about ids, timestamps and what must not be sent."""

from typing import Any

from controlplane.clock import Clock
from controlplane.fallback.admin.answers import Answer, Refused, deleted, key_not_found, shown, written
from controlplane.fallback.admin.checks import Checks
from controlplane.fallback.admin.kinds import Kind
from controlplane.fallback.admin.listing import Arguments, listed
from controlplane.fallback.admin.merging import merge, put_at
from controlplane.fallback.state.store import Store

Json = dict[str, Any]

_TIMES = ("create_time", "update_time")


class Resources:
    """The objects behind the Admin API."""

    def __init__(self, store: Store, checks: Checks, clock: Clock) -> None:
        self._store = store
        self._checks = checks
        self._clock = clock

    def read(self, kind: Kind, prefix: str, identifier: str | None, arguments: Arguments) -> Answer:
        """One object, or a list of them."""
        if identifier is None:
            objects = [stored for stored in self._store.all(kind.name) if stored.key.startswith(prefix + "/")]
            if not objects and kind.name == "credentials":
                raise key_not_found()
            return listed(kind, objects, arguments)
        stored = self._store.get(f"{prefix}/{identifier}")
        if stored is None:
            raise key_not_found()
        return 200, shown(stored) + b"\n"

    async def put(self, kind: Kind, prefix: str, identifier: str | None, value: Any) -> Answer:
        """Create or replace an object."""
        value = self._object(value)
        identifier = self._identify(kind, identifier, value)
        _refuse_times(value)
        kind.check(self._checks, identifier or "", value, True)
        identifier = identifier or value["username"]
        self._check_consumer(kind, prefix, identifier, value)
        key = f"{prefix}/{identifier}"
        before = self._store.get(key)
        if kind.stamped:
            created = before.value.get("create_time") if before is not None else None
            self._stamp(value, created)
        if kind.name in ("plugin_metadata", "secrets"):
            value["id"] = identifier
        return written(await self._store.put(key, value), created=before is None)

    async def post(self, kind: Kind, prefix: str, identifier: str | None, value: Any) -> Answer:
        """Create an object under an id of our own."""
        value = self._object(value)
        if identifier is not None or "id" in value:
            raise Refused.saying(f"wrong {kind.what} id, do not need it")
        _refuse_times(value)
        kind.check(self._checks, "", value, True)
        self._stamp(value, None)
        identifier = self._store.new_id()
        value["id"] = identifier
        return written(await self._store.put(f"{prefix}/{identifier}", value), created=True)

    async def patch(self, kind: Kind, prefix: str, identifier: str | None, path: str, change: Any) -> Answer:
        """Change a part of an object."""
        if identifier is None:
            raise Refused.saying(f"missing {kind.what} id")
        if change is None:
            raise Refused.saying("missing new configuration")
        if change == [] and not path:
            change = {}
        if not path and not isinstance(change, dict):
            raise Refused.saying("invalid configuration")
        key = f"{prefix}/{identifier}"
        before = self._store.get(key)
        if before is None:
            raise key_not_found()
        value = before.value
        if path:
            value = put_at(value, path, change)
        else:
            merge(value, change)
        if path or "update_time" not in change:
            value["update_time"] = int(self._clock.now())
        if str(value.setdefault("id", identifier)) != identifier:
            raise Refused.saying(f"wrong {kind.what} id")
        kind.check(self._checks, str(value["id"]), value, True)
        return written(await self._store.put(key, value), created=False)

    async def delete(self, kind: Kind, prefix: str, identifier: str | None, *, force: bool) -> Answer:
        """Remove an object that nothing refers to, or any with `force`."""
        if identifier is None:
            raise Refused.saying(f"missing {kind.what} id")
        if not force:
            kind.protect(self._store, identifier)
        key = f"{prefix}/{identifier}"
        if not await self._store.delete(key):
            raise key_not_found()
        return deleted(key)

    def _object(self, value: Any) -> Json:
        if value is None:
            raise Refused.saying("missing configurations")
        if not isinstance(value, dict):
            raise Refused.saying("invalid configuration: wrong type: expected object")
        return value

    def _identify(self, kind: Kind, identifier: str | None, value: Json) -> str | None:
        """The id, from the path or from the body; they must not differ."""
        if not kind.has_id:
            return identifier
        own = value.get("id")
        if identifier is None and own is None:
            raise Refused.saying(f"missing {kind.what} id")
        if identifier is not None and own is not None and str(own) != identifier:
            raise Refused.saying(f"wrong {kind.what} id")
        value["id"] = identifier if identifier is not None else own
        return str(value["id"])

    def _check_consumer(self, kind: Kind, prefix: str, identifier: str, value: Json) -> None:
        """A credential needs a consumer, and a key that is nobody else's."""
        if kind.name != "credentials":
            return
        consumer = prefix.split("/")[2]
        self._checks.unique_keys(value, consumer, identifier)
        if self._store.get(f"/consumers/{consumer}") is None:
            raise Refused.saying("consumer not found", 404)

    def _stamp(self, value: Json, created: int | None) -> None:
        now = int(self._clock.now())
        value["create_time"] = created if created is not None else now
        value["update_time"] = now


def _refuse_times(value: Json) -> None:
    for where, inner in (
        ("", value),
        ("upstream.", value.get("upstream")),
        ("plugins.", value.get("plugins")),
    ):
        for name in _TIMES:
            if isinstance(inner, dict) and inner.get(name) is not None:
                raise Refused.saying(f"the property is forbidden:  {where}{name}")
