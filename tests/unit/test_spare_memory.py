"""Memory that is free is given back once that is worth the moment it takes."""

from pathlib import Path

import pytest

from controlplane.spare_memory import SpareMemory, resident, spare_memory


class Process:
    """Holds so many bytes, some of which are free."""

    def __init__(self) -> None:
        self.bytes = 0
        self.free = 0
        self.worked_s = 0.0
        self.asked = 0

    def give_back(self) -> None:
        self.asked += 1
        self.bytes, self.free = self.bytes - self.free, 0


def watched(process: Process) -> SpareMemory:
    return SpareMemory(lambda: process.bytes, lambda: process.worked_s, process.give_back, worth_it=100)


def test_memory_is_given_back_each_time_the_process_has_grown_enough() -> None:
    process = Process()
    spare = watched(process)
    process.bytes, process.free = 99, 90
    assert not spare.look()
    process.bytes, process.free = 150, 50
    assert spare.look()
    assert process.bytes == 100
    process.bytes = 199
    assert not spare.look()
    process.bytes = 200
    assert spare.look()
    assert process.asked == 2


def test_nothing_is_given_back_amid_work_and_everything_after_it() -> None:
    process = Process()
    spare = watched(process)
    process.bytes, process.worked_s = 500, 5.0
    assert not spare.look()
    process.worked_s, process.free = 5.5, 400
    assert spare.look()
    assert process.bytes == 100


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what a process holds")
def test_what_this_process_holds_is_known_and_what_is_free_can_be_given_back() -> None:
    assert resident(Path("/proc/self/status").read_text()) > 1024 * 1024
    if spare := spare_memory():
        spare.give_back()
        assert spare.resident() > 0


def test_what_a_process_holds_is_read_from_its_status() -> None:
    assert resident("Name:\tpython\nVmRSS:\t  2048 kB\nThreads:\t1\n") == 2048 * 1024
