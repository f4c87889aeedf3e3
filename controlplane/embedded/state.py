"""What can be seen of the stack, as the supervisor writes it down for `ctl`. It holds no secret.

Every verb of `ctl` that looks for the service reads it, so it imports nothing of what runs the parts.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class State(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    SILENT = "not answering"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def good(self) -> bool:
        return self in (State.READY, State.DONE)


@dataclass(frozen=True)
class PartStatus:
    """One part at one moment. `since` is the wall time at which it came into its state."""

    name: str
    address: str
    state: State
    since: float
    pid: int | None = None
    restarts: int = 0
    detail: str | None = None
    took_s: float | None = None


@dataclass(frozen=True)
class StackState:
    """The stack at one moment."""

    supervisor: int
    started_at: float
    parts: tuple[PartStatus, ...] = ()

    @property
    def good(self) -> bool:
        return bool(self.parts) and all(part.state.good for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def save(self, path: Path) -> None:
        draft = path.with_name(f"{path.name}.draft")
        draft.write_text(json.dumps(self.as_json(), indent=2) + "\n")
        draft.replace(path)

    @classmethod
    def load(cls, path: Path) -> "StackState | None":
        try:
            values = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        parts = tuple(PartStatus(**{**part, "state": State(part["state"])}) for part in values.pop("parts"))
        return cls(**values, parts=parts)
