"""What a limiter asks of its counters, and what they answer."""

from typing import NamedTuple


class CountersGone(Exception):
    """The counters cannot be reached, or answer something else than counters: they `refused` the command."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Window(NamedTuple):
    """One counter of a fixed window: its key, how much fits, how long it lasts."""

    key: str
    limit: int
    seconds: int


class Standing(NamedTuple):
    """Where a counter stands after a check or a charge. `remaining` is below zero when it was overdrawn."""

    remaining: int
    reset_s: float
    rejected: bool
