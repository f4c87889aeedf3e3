"""What `ctl` does when somebody sits in front of it: it asks, and it shows keys."""

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from tests.unit.cli.stand_in import StandIn, gateway, page, plan, planned_on, step

ROOT = Path(__file__).parents[3]
PLAN = "POST plan"
APPLY = "POST apply?fingerprint=f1"
AGAIN_S = 0.3


def typed(answer: str, *arguments: str, interrupting: bool = False) -> tuple[int, str]:
    """Run `ctl` on a terminal and type one answer; its exit code, and all that the terminal showed.

    With `interrupting`, Ctrl-C comes in place of the answer, once there is a question, and again until it is
    heard: an interruption between the question and the wait for its answer is noticed with the next key only.
    """
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    command = [sys.executable, "-m", "cli", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            asked = interrupting and b"[y/N]" in shown
            if asked and not select.select([ours], [], [], AGAIN_S)[0]:
                process.send_signal(signal.SIGINT)
            elif chunk := _read(ours):
                shown += chunk
            else:
                break
        os.close(ours)
        return process.wait(), shown.decode()


def _read(descriptor: int) -> bytes:
    """The next piece; nothing once the terminal has no other end, which Linux calls an error."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


@pytest.fixture
def file(stand_in: StandIn, tmp_path: Path) -> str:
    path = tmp_path / "queues.yaml"
    path.write_text("keys:\n  - {name: web}\n")
    changes = [{"kind": "key", "name": "web", "action": "create", "fields": []}]
    stand_in.says(PLAN, plan(*changes, gateways=[planned_on(step())]))
    stand_in.says("GET gateways/local/objects?limit=200", page())
    made = [{"name": "web", "key": "sk-sluice-made-up"}]
    stand_in.says(APPLY, {"revision": 7, "changes": changes, "keys": made})
    stand_in.says("GET gateways?limit=200", page(gateway()))
    return str(path)


def test_a_yes_applies_and_made_up_keys_are_shown(file: str) -> None:
    code, shown = typed("y\n", "apply", "-f", file)
    assert code == ExitCode.OK
    assert "+ key web" in shown
    assert "Apply this? [y/N]" in shown
    assert "web: sk-sluice-made-up" in shown


def test_a_no_changes_nothing(file: str, stand_in: StandIn) -> None:
    code, shown = typed("n\n", "apply", "-f", file)
    assert code == ExitCode.REFUSED
    assert "nothing was changed" in shown
    assert stand_in.bodies(APPLY) == []


def test_ctrl_c_at_the_question_changes_nothing_and_says_that_it_interrupted(
    file: str, stand_in: StandIn
) -> None:
    code, shown = typed("", "apply", "-f", file, interrupting=True)
    assert code == ExitCode.INTERRUPTED
    assert "interrupted" in shown
    assert stand_in.bodies(APPLY) == []


def test_what_a_gateway_says_cannot_steer_the_terminal(file: str, stand_in: StandIn) -> None:
    stand_in.says("GET gateways?limit=200", page(gateway("degraded", 6, "\x1b[2J\x07 gone")))
    code, shown = typed("", "apply", "-f", file, "--yes", "--timeout", "0.1")
    assert code == ExitCode.PARTLY_APPLIED
    assert "gone" in shown
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown
