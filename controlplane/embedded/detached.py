"""A stack in the background, and the pipe through which the one who starts it hears how the start goes.

Each line on the pipe is one JSON object: {"part": …}, then {"ready": …} or {"failed": …}.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TextIO

from controlplane.clock import SystemClock
from controlplane.embedded.home import Home
from controlplane.embedded.parts import Listener
from controlplane.embedded.run import run_stack
from controlplane.embedded.state import PartStatus, State
from controlplane.errors import SluiceError, Unavailable
from controlplane.settings import Settings


def start_detached(settings: Settings, environ: Mapping[str, str], listener: Listener) -> None:
    """Start the stack in a session of its own; return when it is ready, or raise what keeps it from that."""
    home = Home.at(settings.home)
    home.create()
    reading, writing = os.pipe()
    with home.log("supervisor").open("ab") as log:
        supervisor = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "controlplane.embedded.detached", "--report", str(writing)],
            env={**environ, "SLUICE_HOME": str(home.folder)},
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    os.close(writing)
    try:
        with os.fdopen(reading) as report:
            ready = any(_tell(json.loads(line), listener) for line in report)
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait()
        raise
    if not ready:
        raise Unavailable(
            f"the supervisor ended with exit code {supervisor.wait()}",
            remedy=f"its log is {home.log('supervisor')}",
        )


def _tell(message: Mapping[str, Any], listener: Listener) -> bool:
    """Pass one message on; True when it is the last."""
    match message:
        case {"part": values}:
            listener.part_changed(PartStatus(**{**values, "state": State(values["state"])}))
        case {"ready": {"took_s": took_s, "first": first}}:
            listener.all_ready(took_s, first=first)
            return True
        case {"failed": {"message": text, "remedy": remedy}}:
            raise SluiceError(text, remedy=remedy)
    return False


class Reporter:
    """Writes to the pipe until the stack is ready or its reader has gone."""

    def __init__(self, pipe: TextIO) -> None:
        self._pipe = pipe

    def part_changed(self, status: PartStatus) -> None:
        self._write({"part": asdict(status)})

    def all_ready(self, took_s: float, *, first: bool) -> None:
        self._write({"ready": {"took_s": took_s, "first": first}})
        self._close()

    def stopping(self) -> None:
        """Nobody reads this far."""

    def stopped(self) -> None:
        """Nobody reads this far."""

    def failed(self, error: SluiceError) -> None:
        text = "\n".join([error.message, *(f"  {problem}" for problem in error.problems)])
        self._write({"failed": {"message": text, "remedy": error.remedy}})
        self._close()

    def _write(self, message: Mapping[str, Any]) -> None:
        if self._pipe.closed:
            return
        try:
            self._pipe.write(json.dumps(message) + "\n")
            self._pipe.flush()
        except BrokenPipeError:
            self._close()

    def _close(self) -> None:
        with suppress(BrokenPipeError):
            self._pipe.close()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="detached")
    parser.add_argument("--report", type=int, required=True)
    reporter = Reporter(os.fdopen(parser.parse_args(arguments).report, "w"))
    try:
        settings = Settings.from_env(os.environ)
        asyncio.run(run_stack(settings, os.environ, reporter, SystemClock()))
    except SluiceError as error:
        reporter.failed(error)
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
