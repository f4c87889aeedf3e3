"""Keeps one part of the stack: its life and its log.

`python -m controlplane.embedded.guard ... -- COMMAND` runs COMMAND and promises that

- whatever COMMAND started, at whatever depth, is gone when the guard is gone;
- everything ends, and soon, when the lifeline, a pipe of the process that started the guard, closes;
- SIGTERM asks COMMAND to stop with its own stop signal, and kills it when the grace is over;
- its output lands in a rotated log file;
- the guard's exit code is COMMAND's, or 128 + N when signal N killed it.

If the guard itself is killed, the kernel kills COMMAND.
"""

import argparse
import contextlib
import os
import selectors
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from controlplane.embedded import processes
from controlplane.embedded.identity import Identity, adopt_orphans, die_with_parent
from controlplane.embedded.rotation import RotatingLog

CANNOT_START = 127
ABANDONED_GRACE_S = 2.0
CHUNK = 65_536


@dataclass
class Guard:
    """The loop of one guard process."""

    lifeline: int
    stop_signal: int
    grace_s: float
    log: RotatingLog
    main_pid: int = 0
    exit_code: int | None = None
    deadline: float | None = None
    _signals: tuple[int, int] = field(default_factory=lambda: os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))

    def run(self, command: Sequence[str], identity: Identity, report: int) -> int:
        """Run the command to its end and return its exit code."""
        adopt_orphans()
        self._listen_to_signals()
        output = self._start(command, identity)
        os.write(report, f"{self.main_pid}\n".encode())
        os.close(report)
        with selectors.DefaultSelector() as selector:
            for descriptor in (self.lifeline, self._signals[0], output):
                selector.register(descriptor, selectors.EVENT_READ)
            while self.exit_code is None:
                self._turn(selector, output)
        self._end_everything()
        self._pass_on(output)
        return self.exit_code

    def _turn(self, selector: selectors.BaseSelector, output: int) -> None:
        timeout = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
        for key, _ in selector.select(timeout):
            if key.fd == self.lifeline:
                selector.unregister(self.lifeline)
                self._ask_to_stop(min(self.grace_s, ABANDONED_GRACE_S))
            elif key.fd == output and not self._pass_on(output):
                selector.unregister(output)
            elif key.fd == self._signals[0]:
                received = os.read(self._signals[0], CHUNK)
                if signal.SIGTERM in received or signal.SIGINT in received:
                    self._ask_to_stop(self.grace_s)
        self._reap()
        if self.deadline is not None and time.monotonic() >= self.deadline and self.exit_code is None:
            os.kill(self.main_pid, signal.SIGKILL)
            self.deadline = None

    def _listen_to_signals(self) -> None:
        signal.set_wakeup_fd(self._signals[1], warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def _start(self, command: Sequence[str], identity: Identity) -> int:
        """Start the command; its output can be read from the descriptor that is returned."""
        reading, writing = os.pipe()
        parent = os.getpid()
        self.main_pid = os.fork()
        if self.main_pid == 0:
            _become(command, identity, parent, writing)
        os.close(writing)
        os.set_blocking(reading, False)
        return reading

    def _ask_to_stop(self, grace_s: float) -> None:
        if self.exit_code is not None:
            return
        deadline = time.monotonic() + grace_s
        if self.deadline is None:
            os.kill(self.main_pid, self.stop_signal)
        self.deadline = min(deadline, self.deadline or deadline)

    def _reap(self) -> None:
        """Collect every child that has ended; the orphans that became ours as well."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.main_pid:
                    code = os.waitstatus_to_exitcode(status)
                    self.exit_code = code if code >= 0 else 128 - code

    def _end_everything(self) -> None:
        """Kill what the command left behind, generation by generation, until there is no child."""
        while children := processes.children(os.getpid()):
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in children:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _pass_on(self, output: int) -> bool:
        """Move what the command wrote into the log; False once nobody can write any more."""
        while True:
            try:
                data = os.read(output, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            # A full disk must not take the part down with it: it goes on with a gap in its log.
            with contextlib.suppress(OSError):
                self.log.write(data)


def _become(command: Sequence[str], identity: Identity, parent: int, output: int) -> NoReturn:
    """In the forked child: turn into the command."""
    try:
        # Python ignores the last two, and an ignored signal stays ignored across exec.
        for name in ("SIGTERM", "SIGINT", "SIGCHLD", "SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        identity.assume()
        die_with_parent(parent)
        os.execvp(command[0], list(command))  # noqa: S606 - the supervisor's own command, no shell is meant
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error}\n".encode())
    os._exit(CANNOT_START)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="guard")
    parser.add_argument(
        "--lifeline", type=int, required=True, help="descriptor that closes when all must end"
    )
    parser.add_argument("--report", type=int, required=True, help="descriptor that is told the command's pid")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--identity", type=Identity.parse, default=Identity())
    parser.add_argument("--stop-signal", type=int, default=int(signal.SIGTERM))
    parser.add_argument("--grace", type=float, default=5.0)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    for descriptor in (options.lifeline, options.report):
        os.set_inheritable(descriptor, False)
    guard = Guard(options.lifeline, options.stop_signal, options.grace, RotatingLog(options.log))
    return guard.run(options.command, options.identity, options.report)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
