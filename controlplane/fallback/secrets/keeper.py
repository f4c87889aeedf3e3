"""Holds what references stand for, so that requests never wait for a secret manager."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from controlplane.clock import Clock
from controlplane.fallback.secrets import aws, gcp, vault
from controlplane.fallback.secrets.asking import Asker, SecretUnavailable
from controlplane.fallback.secrets.references import SECRET, from_environment, references_in
from controlplane.fallback.state.objects import StoredObject
from controlplane.fallback.state.store import Change, Store

_KEPT_S = 300.0
_RETRIED_S = 60.0
_LOOKED_AT_S = 1.0
# When what is known came from a manager that has been configured anew since.
_REPLACED = -math.inf
_KINDS = (
    *("routes", "services", "plugin_configs", "consumers", "credentials", "consumer_groups"),
    "global_rules",
)


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found, or None; and until when that is good enough."""

    value: str | None
    until: float


class Secrets:
    """The secrets behind the references of all objects.

    They are fetched when an object that refers to them is written, before the write is answered, and again
    every five minutes; what could not be had is tried again after one. A manager that fails later takes
    nothing away.
    """

    def __init__(self, store: Store, environ: Mapping[str, str], asker: Asker, clock: Clock) -> None:
        self._store = store
        self._environ = environ
        self._asker = asker
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._users: dict[str, frozenset[str]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._fetching = asyncio.Lock()
        self._log = structlog.get_logger("gateway.secrets")
        for kind in _KINDS:
            for stored in store.all(kind):
                self._note(stored)
        store.subscribe(self._changed)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call the listener whenever a reference has come to stand for something else."""
        self._listeners.append(listener)

    def resolve(self, value: Any) -> Any:  # any JSON value
        """A copy with every reference replaced; what cannot be resolved stays as it is."""
        if isinstance(value, dict):
            return {name: self.resolve(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        if value.startswith(SECRET):
            known = self._known.get(value)
            return value if known is None or known.value is None else known.value
        found = from_environment(value, self._environ)
        return value if found is None else found

    async def fetch(self) -> None:
        """Look up what is not known, or not good enough any more."""
        async with self._fetching:
            now = self._clock.monotonic()
            wanted = {reference for references in self._users.values() for reference in references}
            self._known = {name: known for name, known in self._known.items() if name in wanted}
            due = [name for name in wanted if name not in self._known or self._known[name].until <= now]
            changes = await asyncio.gather(*(self._look_up(name) for name in due))
        if any(changes):
            for listener in self._listeners:
                listener()

    async def keep_fresh(self) -> None:
        """Fetch again and again."""
        while True:
            await asyncio.sleep(_LOOKED_AT_S)
            if self._users:
                await self.fetch()

    @property
    def complete(self) -> bool:
        """Everything that is referred to has been looked up where it is now."""
        return all(
            name in self._known and self._known[name].until != _REPLACED
            for references in self._users.values()
            for name in references
        )

    async def _look_up(self, reference: str) -> bool:
        """Whether the reference stands for something else than before."""
        before = self._known.get(reference)
        value, kept_s = None, _RETRIED_S
        if before is not None and before.until != _REPLACED:
            value = before.value
        try:
            value, kept_s = await self._read(reference), _KEPT_S
        except SecretUnavailable as error:
            self._log.error("failed to resolve secret reference", reference=reference, reason=str(error))
        self._known[reference] = _Known(value, self._clock.monotonic() + kept_s)
        return value != (before.value if before is not None else None)

    async def _read(self, reference: str) -> str:
        manager, _, rest = reference.removeprefix(SECRET).partition("/")
        identifier, _, key = rest.partition("/")
        stored = self._store.get(f"/secrets/{manager}/{identifier}")
        if not key or stored is None:
            raise SecretUnavailable("no secret conf" if key else "error format: no secret key id")
        conf = self.resolve(stored.value)
        if manager == "vault":
            return await vault.read(conf, key, self._asker)
        if manager == "aws":
            return await aws.read(conf, key, self._asker, self._clock)
        return await gcp.read(conf, key, self._asker, self._clock)

    def _changed(self, change: Change) -> None:
        if change.kind == "secrets":
            beginning = SECRET + change.key.removeprefix("/secrets/") + "/"
            for name, known in self._known.items():
                if name.startswith(beginning):
                    self._known[name] = _Known(known.value, _REPLACED)
        elif change.kind in _KINDS:
            self._users.pop(change.key, None)
            if change.after is not None:
                self._note(change.after)

    def _note(self, stored: StoredObject) -> None:
        if SECRET.encode() in stored.plain:
            found = frozenset(references_in(stored.value))
            if found:
                self._users[stored.key] = found
