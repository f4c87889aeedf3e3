"""SLUICE_HOME: where the embedded stack keeps its state, and who may use it at a time."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from controlplane.embedded import processes
from controlplane.errors import Conflict, InvalidSettings, Unavailable

POLL_S = 0.05


@dataclass(frozen=True)
class Home:
    """The folder of one stack. Two locked files in it outlive no process, so neither can ever be stale.

    `stack.lock` is held by the supervisor alone. `parts.lock` is held by the supervisor and, inherited, by
    every process below it: whoever still has it open after the supervisor's end is an orphan.
    """

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> "Home":
        return cls(folder.absolute())

    def create(self) -> None:
        """Make the folders, and make sure that they are ours to write in."""
        try:
            for folder, mode in ((self.folder, 0o755), (self.logs, 0o700), (self.secrets, 0o700)):
                folder.mkdir(parents=True, exist_ok=True, mode=mode)
            for lock in (self._stack_lock, self._parts_lock):
                lock.open("a").close()
        except OSError as error:
            raise InvalidSettings(
                f"the folder {self.folder} cannot be used: {error.strerror}: {error.filename}",
                remedy="SLUICE_HOME names another one",
            ) from error

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def state_file(self) -> Path:
        return self.folder / "stack.json"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def supervisor(self) -> int | None:
        """The pid of the supervisor that runs in this home, or None."""
        try:
            with self._stack_lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return int(self._stack_lock.read_text().strip() or 0) or None
        return None

    @contextmanager
    def taken(self, *, patience_s: float = 1.0) -> Iterator[None]:
        """Be the one supervisor of this home. Patience outlasts those who only look whether it is taken."""
        with self._stack_lock.open("a") as file:
            if not _lock(file.fileno(), patience_s):
                raise Conflict(
                    f"a stack already runs in {self.folder} (process {self.supervisor()})",
                    remedy="`ctl status` shows it, `ctl down` stops it; SLUICE_HOME names another folder",
                )
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    @contextmanager
    def without_orphans(self, *, patience_s: float = 4.0) -> Iterator[int]:
        """Wait for what a killed supervisor left, or end it. Yields the descriptor that parts inherit."""
        with self._parts_lock.open("a") as file:
            if not _lock(file.fileno(), patience_s):
                self.end_strays()
                if not _lock(file.fileno(), patience_s):
                    raise Unavailable(
                        f"processes of the last stack in {self.folder} do not end: {self._strays()}",
                        remedy="end them by hand, or choose another folder with SLUICE_HOME",
                    )
            yield file.fileno()

    def end_strays(self) -> None:
        """Kill the processes of this home that are not below this one."""
        for pid in self._strays():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _strays(self) -> list[int]:
        known, us = processes.parents(), os.getpid()
        return [
            pid for pid in processes.holders(self._parts_lock) if not processes.descends_from(pid, us, known)
        ]

    @property
    def _stack_lock(self) -> Path:
        return self.folder / "stack.lock"

    @property
    def _parts_lock(self) -> Path:
        return self.folder / "parts.lock"


def _lock(descriptor: int, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        else:
            return True
