"""Those who are told what becomes of the stack, beside the terminal."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from controlplane.clock import Clock
from controlplane.embedded.home import Home
from controlplane.embedded.parts import Listener
from controlplane.embedded.rotation import RotatingLog
from controlplane.embedded.state import PartStatus


class Everyone:
    """Tells several listeners the same. One that can no longer be told does not stop the stack."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def part_changed(self, status: PartStatus) -> None:
        self._tell(lambda listener: listener.part_changed(status))

    def all_ready(self, took_s: float, *, first: bool) -> None:
        self._tell(lambda listener: listener.all_ready(took_s, first=first))

    def stopping(self) -> None:
        self._tell(lambda listener: listener.stopping())

    def stopped(self) -> None:
        self._tell(lambda listener: listener.stopped())

    def _tell(self, news: Callable[[Listener], None]) -> None:
        for listener in self._listeners:
            with suppress(OSError):
                news(listener)


class SupervisorLog:
    """Writes the log that `ctl logs supervisor` shows."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._log = RotatingLog(home.log("supervisor"))
        self._clock = clock

    def part_changed(self, status: PartStatus) -> None:
        pid = f" (pid {status.pid})" if status.pid else ""
        detail = f": {status.detail}" if status.detail else ""
        self._write(f"{status.name} {status.state}{pid}{detail}")

    def all_ready(self, took_s: float, *, first: bool) -> None:
        self._write(f"{'first start' if first else 'start'} took {took_s:.1f} s")

    def stopping(self) -> None:
        self._write("stopping")

    def stopped(self) -> None:
        self._write("stopped")
        self._log.close()

    def _write(self, message: str) -> None:
        moment = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds")
        self._log.write(f"{moment} {message}\n".encode())
