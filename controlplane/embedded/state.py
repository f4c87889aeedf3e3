"""What the supervisor writes down for `ctl status`, `ctl down` and `ctl logs`. It holds no secret."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from controlplane.embedded.parts import PartStatus, State


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
