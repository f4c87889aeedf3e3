"""What a guard promises about its command."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from controlplane.embedded.guarded import Command, Guarded, Lifeline, run_to_end
from tests.fixtures.stack_process import wait_for


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "part.log"


@pytest.fixture
async def lifeline() -> AsyncIterator[Lifeline]:
    lifeline = Lifeline()
    yield lifeline
    lifeline.close()


def python(code: str, **environ: str) -> Command:
    return Command([sys.executable, "-c", code], {**os.environ, **environ})


DAEMON = """
import os, pathlib, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path(os.environ["PID_FILE"] + ".draft").write_text(str(os.getpid()))
        os.rename(os.environ["PID_FILE"] + ".draft", os.environ["PID_FILE"])
        time.sleep(600)
    os._exit(0)
while not os.path.exists(os.environ["PID_FILE"]):
    time.sleep(0.01)
"""


async def test_a_daemon_that_the_command_leaves_behind_is_ended_with_it(
    lifeline: Lifeline, log: Path, tmp_path: Path
) -> None:
    pid_file = tmp_path / "daemon.pid"
    assert await run_to_end(python(DAEMON, PID_FILE=str(pid_file)), lifeline, log) == 0
    assert not psutil.pid_exists(int(pid_file.read_text()))


async def test_closing_the_lifeline_ends_a_command_that_ignores_every_request(
    lifeline: Lifeline, log: Path
) -> None:
    stubborn = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    process = await Guarded.start(replace(python(stubborn), grace_s=0.2), lifeline, log)
    wait_for("it ignores SIGTERM", lambda: log.read_text() == "up\n")
    lifeline.close()
    assert await process.wait() == 128 + 9
    assert not psutil.pid_exists(process.pid)


async def test_stopping_asks_with_the_command_s_own_signal_first(lifeline: Lifeline, log: Path) -> None:
    polite = (
        "import time\nprint('up', flush=True)\ntry: time.sleep(600)\nexcept KeyboardInterrupt: print('bye')"
    )
    process = await Guarded.start(replace(python(polite), stop_signal=signal.SIGINT), lifeline, log)
    wait_for("it is up", lambda: log.read_text() == "up\n")
    assert await process.stop() == 0
    assert log.read_text() == "up\nbye\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 128 + 9)],
)
async def test_the_exit_code_tells_how_the_command_ended(
    lifeline: Lifeline, log: Path, code: str, expected: int
) -> None:
    assert await run_to_end(python(code), lifeline, log) == expected


async def test_a_command_that_does_not_exist_says_so_in_its_log(lifeline: Lifeline, log: Path) -> None:
    assert await run_to_end(Command(["/no/such/program"], dict(os.environ)), lifeline, log) == 127
    assert "cannot start /no/such/program" in log.read_text()


async def test_all_that_a_command_wrote_before_it_ended_is_in_its_log(lifeline: Lifeline, log: Path) -> None:
    code = "import sys; sys.stdout.write('x' * 300_000); sys.stderr.write('last words')"
    await run_to_end(python(code), lifeline, log)
    assert log.stat().st_size == 300_000 + len("last words")


async def test_a_command_does_not_inherit_the_signals_that_python_ignores(
    lifeline: Lifeline, log: Path
) -> None:
    await run_to_end(Command(["/bin/cat", "/proc/self/status"], dict(os.environ)), lifeline, log)
    ignored = next(line for line in log.read_text().splitlines() if line.startswith("SigIgn:"))
    mask = int(ignored.split()[1], 16)
    # Whoever runs the tests may ignore signals of its own; Python itself ignores these two.
    assert not [name for name in (signal.SIGPIPE, signal.SIGXFSZ) if mask >> (name - 1) & 1]
