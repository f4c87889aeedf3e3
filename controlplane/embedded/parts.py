"""What a part of the stack is, and what can be seen of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from controlplane.embedded.guarded import Command


@dataclass(frozen=True)
class Part:
    """One thing that the supervisor keeps.

    A part without `problem` is a job: it is done when its command has ended well. A part without `command`
    runs elsewhere, where `setting` says, and is only watched. `command` is asked anew for every start.
    """

    name: str
    address: str = ""
    command: Callable[[], Awaitable[Command]] | None = None
    problem: Callable[[], Awaitable[str | None]] | None = None
    needs: frozenset[str] = frozenset()
    ready_within_s: float = 60.0
    setting: str | None = None


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


class Listener(Protocol):
    """Who wants to know what becomes of the stack."""

    def part_changed(self, status: PartStatus) -> None: ...

    def all_ready(self, took_s: float, *, first: bool) -> None: ...

    def stopping(self) -> None: ...

    def stopped(self) -> None: ...
