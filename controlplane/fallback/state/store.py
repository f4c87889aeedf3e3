"""Every object that the gateway holds, in memory for reading and in a journal for the next start."""

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from controlplane.errors import Unavailable
from controlplane.fallback.state.journal import Journal, Record
from controlplane.fallback.state.objects import StoredObject
from controlplane.fallback.state.sealing import Sealer, transform

# Which texts of a plugin's configuration are secrets; the flag says that it is a consumer's configuration.
SecretPaths = Callable[[str, bool], tuple[str, ...]]

_SHRINK_AT = 64 * 1024 * 1024
_KEY_CHECK = "sluice"


@dataclass(frozen=True, slots=True)
class Change:
    """One object before and after; None where there was none, or is none any more."""

    kind: str
    key: str
    before: StoredObject | None
    after: StoredObject | None


class Store:
    """Objects by kind and key. A write is in effect at once, and durable when it returns."""

    def __init__(self, journal: Journal, sealer: Sealer, secret_paths: SecretPaths) -> None:
        self._journal = journal
        self._sealer = sealer
        self._secret_paths = secret_paths
        self._objects: dict[str, dict[str, StoredObject]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._index = 0
        self._live_bytes = 0

    @classmethod
    def open(cls, folder: Path, master_key: bytes | None, secret_paths: SecretPaths) -> "Store":
        """Load what was written before. Without a master key the folder keeps one of its own."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sealer = Sealer(master_key or _own_key(folder / "data.key"))
        store = cls(Journal(folder / "state.jsonl"), sealer, secret_paths)
        store._load(folder)
        return store

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Call the listener with every change from now on, before the write returns."""
        self._listeners.append(listener)

    def close(self) -> None:
        self._journal.close()

    # Reading.

    def get(self, key: str) -> StoredObject | None:
        return self._objects.get(_kind(key), {}).get(key)

    def all(self, kind: str) -> Iterator[StoredObject]:
        """The objects of a kind in the order of their creation."""
        return iter(list(self._objects.get(kind, {}).values()))

    def credentials(self, consumer: str) -> Iterator[StoredObject]:
        prefix = f"/consumers/{consumer}/credentials/"
        return (item for item in self.all("credentials") if item.key.startswith(prefix))

    def new_id(self) -> str:
        """An id that no object has had."""
        self._index += 1
        return f"{self._index:020d}"

    # Writing.

    async def put(self, key: str, value: dict[str, Any]) -> StoredObject:
        """Create or replace an object; returns it when it is durable."""
        before = self.get(key)
        self._index += 1
        plain, sealed = orjson.dumps(value), orjson.dumps(self._changed(key, value, self._sealer.seal))
        stored = StoredObject(
            key,
            plain,
            plain if plain == sealed else sealed,
            before.created_index if before else self._index,
            self._index,
        )
        self._apply(key, stored)
        try:
            await self._durable(_record(stored))
        except Unavailable:
            if self.get(key) is stored:
                self._apply(key, before)
            raise
        return stored

    async def delete(self, key: str) -> bool:
        """Remove an object (a consumer with its credentials); False if there was none."""
        before = self.get(key)
        if before is None:
            return False
        doomed = [before]
        if before.kind == "consumers":
            doomed = [*self.credentials(before.id), before]
        self._index += 1
        for item in doomed:
            self._apply(item.key, None)
        try:
            await self._durable({"delete": [item.key for item in doomed], "index": self._index})
        except Unavailable:
            for item in doomed:
                if self.get(item.key) is None:
                    self._apply(item.key, item)
            raise
        return True

    # Ours.

    async def _durable(self, record: Record) -> None:
        await self._journal.append(record)
        if self._journal.size > max(_SHRINK_AT, 4 * self._live_bytes):
            self._journal.replace_soon(self._snapshot())

    def _apply(self, key: str, after: StoredObject | None) -> None:
        kind = _kind(key)
        items = self._objects.setdefault(kind, {})
        before = items.get(key)
        if after is not None:
            items[key] = after
            self._live_bytes += len(after.sealed)
        else:
            items.pop(key, None)
        if before is not None:
            self._live_bytes -= len(before.sealed)
        change = Change(kind, key, before, after)
        for listener in self._listeners:
            listener(change)

    def _changed(self, key: str, value: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
        """A copy with its secrets changed."""
        copy: dict[str, Any] = orjson.loads(orjson.dumps(value))
        kind = _kind(key)
        if kind == "plugin_metadata":
            transform(copy, self._secret_paths(key.rpartition("/")[2], False), change)
        plugins = copy.get("plugins")
        if isinstance(plugins, dict):
            for name, conf in plugins.items():
                transform(conf, self._secret_paths(name, kind in ("consumers", "credentials")), change)
        return copy

    def _load(self, folder: Path) -> None:
        for record in self._journal.read():
            self._index = max(self._index, int(record.get("index", 0)))
            if "check" in record and self._sealer.unseal(record["check"]) != _KEY_CHECK:
                raise Unavailable(
                    f"the gateway's state in {folder} was sealed with another key",
                    remedy="set SLUICE_MASTER_KEY to the key it was written with, or remove the folder",
                )
            if "key" in record:
                sealed = orjson.dumps(record["value"])
                plain = orjson.dumps(self._changed(record["key"], record["value"], self._sealer.unseal))
                stored = StoredObject(
                    record["key"],
                    plain,
                    plain if plain == sealed else sealed,
                    record["created"],
                    record["index"],
                )
                self._apply(stored.key, stored)
            for key in record.get("delete", ()):
                self._apply(key, None)
        for kind, items in self._objects.items():
            ordered = sorted(items.values(), key=lambda item: item.created_index)
            self._objects[kind] = {item.key: item for item in ordered}
        self._journal.replace(self._snapshot())

    def _snapshot(self) -> list[Record]:
        head: Record = {"check": self._sealer.seal(_KEY_CHECK), "index": self._index}
        return [head, *(_record(item) for items in self._objects.values() for item in items.values())]


def _record(stored: StoredObject) -> Record:
    return {
        "key": stored.key,
        "value": stored.sealed_value,
        "created": stored.created_index,
        "index": stored.modified_index,
    }


def _kind(key: str) -> str:
    parts = key.split("/", 4)
    return "credentials" if len(parts) > 3 and parts[3] == "credentials" else parts[1]


def _own_key(path: Path) -> bytes:
    """The folder's own key; made on the first start, readable by its owner alone."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return key
