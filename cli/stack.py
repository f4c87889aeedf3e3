"""ctl up, down, status, logs: the embedded stack on this machine."""

import json
import os
import select
import signal
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from controlplane.embedded.home import Home
    from controlplane.settings import Settings

STOP_DEADLINE_S = 60.0


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


def add_to(app: typer.Typer) -> None:
    for verb in (up, down, status, logs):
        app.command()(verb)


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when everything is ready.")] = False,
) -> None:
    """Start the whole stack on this machine."""
    import asyncio

    from cli.stack_view import Terminal
    from controlplane.clock import SystemClock
    from controlplane.embedded.detached import start_detached
    from controlplane.embedded.run import run_stack

    settings = _settings()
    terminal = Terminal(settings, detached=detach)
    terminal.begin()
    if detach:
        start_detached(settings, os.environ, terminal)
    else:
        asyncio.run(run_stack(settings, os.environ, terminal, SystemClock()))


def down() -> None:
    """Stop the stack of this SLUICE_HOME, wherever it was started."""
    from controlplane.errors import Unavailable

    home = _home()
    pid = home.supervisor()
    if pid is None:
        typer.echo(f"nothing runs in {home.folder}")
    elif _stop(pid):
        typer.echo(f"stopped; the state stays in {home.folder}")
    else:
        raise Unavailable(
            f"the stack in {home.folder} did not stop within {STOP_DEADLINE_S:g} s",
            remedy=f"kill -9 {pid} ends it at once and loses nothing that was committed",
        )


def status(
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print it.")] = Output.TABLE,
) -> None:
    """Show the state of each part; exit code 1 when one is down."""
    from cli.stack_view import status_as_json, status_as_table
    from controlplane.embedded.state import StackState

    home = _home()
    running = home.supervisor() is not None
    state = StackState.load(home.state_file) if running else None
    if output is Output.JSON:
        typer.echo(json.dumps(status_as_json(home.folder, state, time.time()), indent=2))
    elif state is None:
        typer.echo(f"nothing runs in {home.folder}; `ctl up` starts it")
    else:
        typer.echo(status_as_table(state, time.time()))
    if state is None or not state.good:
        raise typer.Exit(ExitCode.ERROR)


def logs(
    name: Annotated[
        str, typer.Argument(help="postgres, valkey, gateway, mock, migrations, service, supervisor")
    ],
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 100,
) -> None:
    """Show the log of one part, also of a stack that has stopped."""
    from controlplane.embedded.logs import follow, last_lines
    from controlplane.errors import NotFound

    home = _home()
    path = home.log(name)
    if not path.exists() or path.parent != home.logs:
        known = ", ".join(sorted(log.stem for log in home.logs.glob("*.log")))
        raise NotFound(
            f"there is no log of {name!r} in {home.logs}", remedy=f"there are: {known or 'none yet'}"
        )
    for line in follow(path, lines) if following else last_lines(path, lines):
        typer.echo(line)


def _stop(pid: int) -> bool:
    """Ask a process to stop, and wait for its end; True when it came in time."""
    from controlplane.errors import Forbidden

    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        return bool(select.select([process], [], [], STOP_DEADLINE_S)[0])
    except PermissionError as error:
        raise Forbidden(f"the stack belongs to another user (process {pid})") from error
    except ProcessLookupError:
        return True
    finally:
        os.close(process)


def _settings() -> "Settings":
    from controlplane.errors import Unavailable
    from controlplane.settings import Settings

    if sys.platform != "linux":
        raise Unavailable(
            f"the embedded stack needs Linux, and this is {sys.platform}",
            remedy="run it in a container, and tell ctl with SLUICE_URL where the service is",
        )
    return Settings.from_env(os.environ)


def _home() -> "Home":
    from controlplane.embedded.home import Home

    return Home.at(_settings().home)
