"""What a limiter asks of its counters, and what they answer."""

from dataclasses import dataclass


class CountersGone(Exception):
    """The counters cannot be reached, or answer something else than counters: they `refused` the command."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Window:
    """One counter of a fixed window: its key, how much fits, how long it lasts."""

    key: str
    limit: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a counter stands after a check or a charge. `remaining` is below zero when it was overdrawn."""

    remaining: int
    reset_s: float
    rejected: bool
