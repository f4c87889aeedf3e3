"""The gateway's objects in memory: by key, in the order of their creation."""

from dataclasses import dataclass
from typing import Any

import orjson

PREFIX = "/apisix"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object. `plain` is its value as JSON with secrets readable, `sealed` with secrets encrypted."""

    key: str
    plain: bytes
    sealed: bytes
    created_index: int
    modified_index: int

    @property
    def value(self) -> dict[str, Any]:
        """A fresh copy of the value, secrets readable."""
        value: dict[str, Any] = orjson.loads(self.plain)
        return value

    @property
    def sealed_value(self) -> dict[str, Any]:
        value: dict[str, Any] = orjson.loads(self.sealed)
        return value

    @property
    def resource_key(self) -> str:
        """The key as counters and replies name it."""
        return PREFIX + self.key

    @property
    def id(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def kind(self) -> str:
        """`routes`, `consumers`, …; `credentials` for what is below a consumer."""
        parts = self.key.split("/")
        return "credentials" if len(parts) > 3 and parts[3] == "credentials" else parts[1]
