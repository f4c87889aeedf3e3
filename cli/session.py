"""What every verb needs that talks to the admin service: settings, questions, and the wait for gateways."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from cli.exit_codes import ExitCode
from cli.rendering import printable

if TYPE_CHECKING:
    from cli.finding import CallerSettings
    from cli.service import Service

TIMEOUT_S = 30.0


def settings() -> "CallerSettings":
    from cli.finding import CallerSettings

    return CallerSettings.from_env(os.environ)


def say(text: str) -> None:
    """Everything that is not the result itself."""
    typer.echo(printable(text), err=True)


def say_error(text: str) -> None:
    typer.secho(printable(text), fg="red", err=True)


def refuse(reason: str, remedy: str) -> typer.Exit:
    """Say why nothing was done; raise what this returns."""
    say_error(f"refused: {reason}")
    say(remedy)
    return typer.Exit(ExitCode.REFUSED)


def agreed(question: str, *, yes: bool) -> None:
    """Go on only with a yes: from `--yes`, or from whoever sits at the terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise refuse("there is no terminal to ask on", "--yes agrees beforehand")
    if not typer.confirm(question, err=True):
        raise refuse("you said no", "nothing was changed")


def show_convergence(
    service: "Service", revision: int, timeout_s: float, owners: Sequence[tuple[str, str]]
) -> None:
    """Wait for the gateways and show a row for each. Ends the command when one does not get there."""
    from datetime import UTC, datetime

    from cli.converging import failed_objects, wait_until_converged
    from cli.rendering import gateways_table
    from controlplane.clock import SystemClock

    convergence = wait_until_converged(service, revision, timeout_s, SystemClock())
    if not convergence.gateways:
        say("no gateway is enabled, so nothing enforces this yet")
        return
    say(gateways_table(convergence.gateways, datetime.now(UTC)))
    if convergence.done:
        return
    for gateway in convergence.behind:
        status = gateway["status"]
        why = status.get("error") or f"not at revision {revision} within {timeout_s:g} s"
        say_error(f"error: gateway {gateway['name']} is {status['state']}: {why}")
    for item in failed_objects(service, owners):
        say(f"  {item['gateway']}: {item['kind']}/{item['id']} of {item['declared_by']}: {item['error']}")
    say(f"revision {revision} is stored and the service goes on trying; see `ctl get gateways`")
    raise typer.Exit(ExitCode.PARTLY_APPLIED)
