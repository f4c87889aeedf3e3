"""ctl drift: what somebody changed on the gateways, and undoing it."""

from typing import Annotated

import typer

from cli.plan import Output, PlanOutput, show
from cli.session import TIMEOUT_S, agreed, say, settings


def add_to(app: typer.Typer) -> None:
    app.command()(drift)


def drift(
    output: Output = PlanOutput.TEXT,
    heal: Annotated[bool, typer.Option("--heal", help="Undo it, and wait until it is undone.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for the gateways.")
    ] = TIMEOUT_S,
) -> int:
    """Show what somebody changed on the gateways, field by field. Every gateway is read for it.

    Exit codes: 0 no drift, 1 error, 2 something is still to be written, 3 drift, 4 something of others is
    in the way; with --heal 0 when it is undone, and 5 when it is not.
    """
    from cli.planning import exit_code
    from cli.results import show_results
    from cli.service import connected

    with connected(settings()) as service:
        found = service.get("drift")
        show(found, output)
        if not heal or not found["summary"]["drift"]:
            return exit_code(found)
        agreed("Undo this?", yes=yes)
        service.create("drift/heal", {})
        say("undoing what was changed by hand")
        return show_results(service, found, found, timeout)
