"""ctl adopt: taking over objects that stand where ours are to be."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.apply import FILE_HELP, Literals, read
from cli.exit_codes import ExitCode
from cli.session import TIMEOUT_S, agreed, say, settings

if TYPE_CHECKING:
    from cli.service import Service

Value = dict[str, Any]  # Any: a plan as the service shows it


def add_to(app: typer.Typer) -> None:
    app.command()(adopt)


def adopt(
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help=FILE_HELP)] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for the gateways.")
    ] = TIMEOUT_S,
    allow_literal_secrets: Literals = False,
) -> int:
    """Show the objects of others that are in the way of what is declared, or of a file, and take them over.

    Each is shown with what would become of it. What is taken over is overwritten, now if it is in the way
    of what is declared already, or by the `ctl apply` of the file.
    """
    from cli.plan_text import collisions_text
    from cli.results import show_results
    from cli.service import connected, path_of

    with connected(settings()) as service:
        found = _found(service, file, allow_literal_secrets)
        in_the_way = [gateway for gateway in found["gateways"] if gateway["collisions"]]
        if not in_the_way:
            say("nothing is in the way")
            return ExitCode.OK
        typer.echo(collisions_text(in_the_way))
        agreed("Take them over?", yes=yes)
        for gateway in in_the_way:
            objects = [item["object"] for item in gateway["collisions"]]
            service.create(path_of("gateways", gateway["name"], "adopt"), {"objects": objects})
        if file:
            say(f"`ctl apply -f {' -f '.join(file)}` overwrites them")
            return ExitCode.OK
        return show_results(service, found, found, timeout)


def _found(service: "Service", file: list[str] | None, literals: bool) -> Value:
    from cli.planning import plan_of

    if not file:
        return service.get("drift")
    return plan_of(service, read(file, literal_secrets=literals), {})
