"""Ctrl-C while `ctl` is still being loaded, or waits for what it is to read."""

import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from cli.exit_codes import ExitCode

ROOT = Path(__file__).parents[3]
DEADLINE_S = 60
# Says each module on stderr as soon as it is imported; and this command ends only when its stdin does.
CTL = [sys.executable, "-X", "importtime", "-m", "cli", "validate", "-f", "-"]


@pytest.mark.parametrize("module", ["typer", "cli.main", "controlplane.core.limits", "cli.declaration"])
def test_ends_quietly(module: str) -> None:
    with subprocess.Popen(
        CTL, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        late = Timer(DEADLINE_S, process.kill)
        late.start()
        try:
            assert process.stderr is not None
            imported = (line.rpartition("|")[2].strip() for line in process.stderr)
            assert module in imported
            process.send_signal(signal.SIGINT)
            _, shown = process.communicate()
        finally:
            late.cancel()
            process.kill()
    said = [line for line in shown.splitlines() if not line.startswith("import time:")]
    assert said == ["interrupted"]
    assert process.returncode == ExitCode.INTERRUPTED


def test_an_interruption_that_falls_into_a_callback_is_not_forgotten() -> None:
    """As those of weak references, of which imports have many."""
    code = (
        "import sys, weakref, cli.main, cli.__main__ as entry\n"
        "class Thing: pass\n"
        "def interrupted(_): raise KeyboardInterrupt\n"
        "def main(arguments):\n"
        "    thing = Thing(); watched = weakref.ref(thing, interrupted); del thing\n"
        "    print('went on')\n"
        "cli.main.main = main\n"
        "entry.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "interrupted\n")
    assert done.returncode == ExitCode.INTERRUPTED


def test_who_does_not_hear_interruptions_is_not_made_to() -> None:
    """As a command in the background of a script."""
    code = "import signal, cli.__main__ as entry; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    code += "cli_main = __import__('cli.main').main; "
    code += "cli_main.main = lambda _: print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN); entry.run()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
