"""Memory that is free, given back to the machine: a process keeps most of what a large plan or look took."""

import asyncio
import ctypes
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 5.0
_CALM_S = 1.0
"""Who computes for less than this between two looks is not amid something large."""
_WORTH_IT = 24 * 1024 * 1024
_KIB = 1024


@dataclass
class SpareMemory:
    """Has memory given back once the process is calm and has grown by so many bytes since the last time.

    Giving it back takes a moment in which nothing else is done, so it is not done for little, nor amid work
    whose memory is not free yet.
    """

    resident: Callable[[], int]
    """How many bytes the process holds."""
    worked_s: Callable[[], float]
    """How long the process has computed so far."""
    give_back: Callable[[], None]
    worth_it: int = _WORTH_IT
    _settled: int = 0
    _worked_s: float = 0.0

    def look(self) -> bool:
        """Whether memory was given back."""
        before, self._worked_s = self._worked_s, self.worked_s()
        calm = self._worked_s - before < _CALM_S
        if not calm or self.resident() - self._settled < self.worth_it:
            return False
        self.give_back()
        self._settled = self.resident()
        return True

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            self.look()


def spare_memory() -> SpareMemory | None:
    """That of this process; None where the machine does not tell, or cannot take anything back."""
    status = Path("/proc/self/status")
    if sys.platform != "linux" or not status.exists():
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
    if trim is None:
        return None

    def give_back() -> None:
        gc.collect()  # what refers to itself is not free before
        trim(0)

    return SpareMemory(lambda: resident(status.read_text()), time.process_time, give_back)


def resident(status: str) -> int:
    """The bytes that a process holds, of its `status` in /proc."""
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * _KIB
