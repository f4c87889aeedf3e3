"""Starting in order, starting again, giving up and stopping, shown on tiny stand-ins for the real parts."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from controlplane.clock import SystemClock
from controlplane.embedded.guarded import Command, Lifeline
from controlplane.embedded.home import Home
from controlplane.embedded.keeper import Patience
from controlplane.embedded.parts import Part
from controlplane.embedded.state import PartStatus, State
from controlplane.embedded.supervisor import Supervisor
from controlplane.errors import PartFailed
from tests.fixtures.stack_process import wait_for

QUICK = Patience(probe_every_s=0.01, watch_every_s=0.02, first_pause_s=0.01, longest_pause_s=0.02)

Probe = Callable[[], Awaitable[str | None]]

# Says when it starts and when it is asked to stop; it is ready once its file exists.
SERVER = """
import os, pathlib, signal, sys
name, folder = sys.argv[1:]
diary = pathlib.Path(folder, "diary")
def note(what):
    with diary.open("a") as file:
        file.write(f"{what} {name}\\n")
signal.signal(signal.SIGTERM, lambda *_: (note("stop"), os._exit(0)))
note("start")
pathlib.Path(folder, name).touch()
while True:
    signal.pause()
"""


class Bench:
    """Runs stand-ins in a folder of their own and remembers every change."""

    def __init__(self, folder: Path, lifeline: Lifeline, home: Home) -> None:
        self.folder = folder
        self.lifeline = lifeline
        self.home = home
        self.changes: list[PartStatus] = []

    def supervisor(self, parts: Sequence[Part], patience: Patience = QUICK) -> Supervisor:
        return Supervisor(parts, self.home, self.lifeline, self.changes.append, SystemClock(), patience)

    def server(self, name: str, *needs: str) -> Part:
        return self.part(name, SERVER, self.file_is_there(name), frozenset(needs))

    def part(
        self,
        name: str,
        code: str,
        problem: Probe | None,
        needs: frozenset[str] = frozenset(),
        ready_within_s: float = 30,
    ) -> Part:
        async def command() -> Command:
            return Command([sys.executable, "-c", code, name, str(self.folder)], dict(os.environ))

        return Part(name, "", command, problem, needs, ready_within_s)

    def file_is_there(self, name: str) -> Probe:
        async def problem() -> str | None:
            return None if (self.folder / name).exists() else "its file is not there"

        return problem

    async def comes_to(self, name: str, state: State) -> None:
        """Wait until the part's newest state is this one."""
        await asyncio.to_thread(wait_for, f"{name} is {state}", lambda: self.states(name)[-1:] == [state])

    def states(self, name: str) -> list[State]:
        """The states that a part went through."""
        states: list[State] = []
        for change in self.changes:
            if change.name == name and (not states or states[-1] is not change.state):
                states.append(change.state)
        return states


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    home = Home.at(tmp_path / "home")
    home.create()
    with home.without_orphans() as parts_lock, closing(Lifeline(parts_lock)) as lifeline:
        yield Bench(tmp_path, lifeline, home)


async def test_a_part_starts_after_what_it_needs_and_stops_before_it(bench: Bench) -> None:
    parts = [bench.server("roof", "walls"), bench.server("walls", "ground"), bench.server("ground")]
    supervisor = bench.supervisor(parts)
    await supervisor.start()
    await supervisor.stop()
    diary = (bench.folder / "diary").read_text().splitlines()
    assert diary == ["start ground", "start walls", "start roof", "stop roof", "stop walls", "stop ground"]


async def test_a_part_that_dies_at_once_fails_the_start_with_its_last_words(bench: Bench) -> None:
    part = bench.part("doomed", "raise SystemExit('no such table: queues')", bench.file_is_there("doomed"))
    supervisor = bench.supervisor([part, bench.server("other")])
    with pytest.raises(
        PartFailed, match=r"doomed does not start: ended with exit code 1\n(.*\n)*.*no such table: queues"
    ):
        await supervisor.start()
    await supervisor.stop()
    assert bench.states("other")[-1] is State.STOPPED


async def test_a_part_that_never_answers_fails_the_start_with_what_its_probe_saw(bench: Bench) -> None:
    code = "import time; time.sleep(600)"
    part = bench.part("mute", code, bench.file_is_there("mute"), ready_within_s=0.2)
    supervisor = bench.supervisor([part])
    with pytest.raises(
        PartFailed, match=r"mute does not start: not ready after 0.2 s: its file is not there"
    ):
        await supervisor.start()
    await supervisor.stop()


async def test_a_job_is_done_when_it_has_ended_well(bench: Bench) -> None:
    supervisor = bench.supervisor([bench.part("job", "print('migrated')", None)])
    await supervisor.start()
    assert [status.state for status in supervisor.statuses] == [State.DONE]
    await supervisor.stop()


async def test_a_job_that_fails_fails_the_start_and_what_needs_it_never_starts(bench: Bench) -> None:
    job = bench.part("job", "raise SystemExit(3)", None)
    supervisor = bench.supervisor([job, bench.server("service", "job")])
    with pytest.raises(PartFailed, match="job does not start: ended with exit code 3"):
        await supervisor.start()
    await supervisor.stop()
    assert not (bench.folder / "diary").exists()


async def test_a_part_that_keeps_dying_is_shown_as_failed_and_as_ready_once_it_recovers(bench: Bench) -> None:
    wound = bench.folder / "wound"
    code = f"import pathlib\nif pathlib.Path({str(wound)!r}).exists(): raise SystemExit(4)\n{SERVER}"
    supervisor = bench.supervisor([bench.part("frail", code, bench.file_is_there("frail"))])
    await supervisor.start()
    wound.touch()
    (bench.folder / "frail").unlink()
    os.kill(supervisor.statuses[0].pid or 0, 9)
    await bench.comes_to("frail", State.FAILED)
    assert supervisor.statuses[0].detail == "ended with exit code 4"
    wound.unlink()
    await bench.comes_to("frail", State.READY)
    await supervisor.stop()


async def test_a_part_that_stops_answering_is_shown_so_until_it_answers_again(bench: Bench) -> None:
    supervisor = bench.supervisor([bench.server("shop")])
    await supervisor.start()
    (bench.folder / "shop").unlink()
    await bench.comes_to("shop", State.SILENT)
    (bench.folder / "shop").touch()
    await bench.comes_to("shop", State.READY)
    assert supervisor.statuses[0].restarts == 0
    await supervisor.stop()


async def test_a_part_that_runs_elsewhere_is_waited_for_and_never_stopped(bench: Bench) -> None:
    (bench.folder / "theirs").touch()
    supervisor = bench.supervisor([Part("theirs", problem=bench.file_is_there("theirs"))])
    await supervisor.start()
    assert supervisor.statuses[0].pid is None
    await supervisor.stop()


async def test_a_part_that_runs_elsewhere_and_does_not_answer_fails_the_start(bench: Bench) -> None:
    part = Part("theirs", "db.example:5432", problem=bench.file_is_there("theirs"), ready_within_s=0.1)
    supervisor = bench.supervisor([part])
    with pytest.raises(PartFailed, match=r"theirs at db.example:5432 cannot be used: its file is not there"):
        await supervisor.start()
    await supervisor.stop()
