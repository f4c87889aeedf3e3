"""Who calls: consumers and their credentials, found by the key that a request carries."""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.fallback.metrics.registry import Sample
from controlplane.fallback.secrets.keeper import Secrets
from controlplane.fallback.secrets.references import is_reference
from controlplane.fallback.state.objects import StoredObject
from controlplane.fallback.state.store import Change, Store

UNIQUE = {"key-auth": "key"}


@dataclass(frozen=True, slots=True)
class Identity:
    """A consumer as a request met it; `credential` is None where the key is in the consumer itself."""

    username: str
    credential: str | None
    group_id: str | None
    custom_id: str | None


class Consumers:
    """An index of keys that follows the store and the secrets."""

    def __init__(self, store: Store, secrets: Secrets) -> None:
        self._store = store
        self._secrets = secrets
        self._identities: dict[str, Identity | None] = {}
        self._keys: dict[tuple[str, str], dict[str, None]] = {}
        self._used: dict[str, float] = {}
        self._index_all()
        store.subscribe(self._changed)
        secrets.subscribe(self._index_all)

    def find(self, plugin: str, key: str) -> Identity | None:
        """The consumer that a key belongs to; of several the one that was written last."""
        owners = self._keys.get((plugin, key))
        if not owners:
            return None
        return self._identity(next(reversed(owners)))

    def used(self, identity: Identity, moment: float) -> None:
        """A call has come from it."""
        self._used[identity.username] = moment

    def uses(self) -> Iterable[Sample]:
        """When each consumer called last, as far as that was since this process began."""
        return [((username,), moment) for username, moment in self._used.items()]

    def named(self, username: str) -> Identity | None:
        return self._identity(f"/consumers/{username}")

    def known(self, plugin: str) -> bool:
        """Whether any consumer has a key for the plugin."""
        return any(name == plugin for name, _ in self._keys)

    def _identity(self, stored_key: str) -> Identity | None:
        if stored_key not in self._identities:
            self._identities[stored_key] = self._read_identity(stored_key)
        return self._identities[stored_key]

    def _read_identity(self, stored_key: str) -> Identity | None:
        parts = stored_key.split("/")
        consumer = self._store.get(f"/consumers/{parts[2]}")
        if consumer is None:
            return None
        value = consumer.value
        return Identity(
            username=value["username"],
            credential=parts[4] if len(parts) > 4 else None,
            group_id=str(value["group_id"]) if "group_id" in value else None,
            custom_id=value.get("labels", {}).get("custom_id"),
        )

    def _changed(self, change: Change) -> None:
        if change.kind not in ("consumers", "credentials"):
            return
        self._identities.clear()
        if change.kind == "consumers" and change.after is None and change.before is not None:
            self._used.pop(change.before.value["username"], None)
        if change.before is not None:
            for entry in self._entries(change.before):
                owners = self._keys.get(entry, {})
                owners.pop(change.key, None)
                if not owners:
                    self._keys.pop(entry, None)
        if change.after is not None:
            self._index(change.after)

    def _index_all(self) -> None:
        self._keys.clear()
        for kind in ("consumers", "credentials"):
            for stored in self._store.all(kind):
                self._index(stored)

    def _index(self, stored: StoredObject) -> None:
        for entry in self._entries(stored):
            self._keys.setdefault(entry, {})[stored.key] = None

    def _entries(self, stored: StoredObject) -> list[tuple[str, str]]:
        plugins = stored.value.get("plugins") or {}
        found = []
        for plugin, attribute in UNIQUE.items():
            key = self._secrets.resolve(plugins.get(plugin, {}).get(attribute))
            if isinstance(key, str) and not is_reference(key):
                found.append((plugin, key))
        return found
