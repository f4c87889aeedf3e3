"""What a part of the stack is, and who wants to know what becomes of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from controlplane.embedded.guarded import Command
from controlplane.embedded.state import PartStatus


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


class Listener(Protocol):
    """Who wants to know what becomes of the stack."""

    def part_changed(self, status: PartStatus) -> None: ...

    def all_ready(self, took_s: float, *, first: bool) -> None: ...

    def stopping(self) -> None: ...

    def stopped(self) -> None: ...
