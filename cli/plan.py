"""ctl plan: what would change."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.apply import AllowLeftovers, AllowMassDelete, File, Literals, Prune
from cli.session import say, settings

if TYPE_CHECKING:
    from cli.known import Name
    from cli.plan_text import Paint

Value = dict[str, Any]  # Any: a plan as the service shows it


class PlanOutput(StrEnum):
    """How a plan is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


Output = Annotated[PlanOutput, typer.Option("--output", "-o", help="How to print it.")]


def add_to(app: typer.Typer) -> None:
    app.command()(plan)


def plan(
    file: File,
    output: Output = PlanOutput.TEXT,
    out: Annotated[
        Path | None, typer.Option(help="Keep the plan in this file, for `ctl apply --plan`.")
    ] = None,
    prune: Prune = False,
    allow_mass_delete: AllowMassDelete = False,
    allow_leftovers: AllowLeftovers = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Read every gateway now, for drift that is not known yet.")
    ] = False,
    validate_on_gateway: Annotated[
        bool,
        typer.Option("--validate-on-gateway", help="Ask every gateway whether it would take what is new."),
    ] = False,
    allow_literal_secrets: Literals = False,
) -> int:
    """Show what a file would change, here and on every gateway. Changes nothing.

    Exit codes: 0 nothing to do, 1 error, 2 changes, 3 somebody changed a gateway, 4 refused as unsafe.
    """
    from cli.known import known_plan, named
    from cli.planning import exit_code, keep

    options = {
        "prune": prune,
        "allow_mass_delete": allow_mass_delete,
        "allow_leftovers": allow_leftovers,
        "refresh": refresh,
        "validate_on_gateway": validate_on_gateway,
    }
    name = named(file, os.environ, literal_secrets=allow_literal_secrets)
    made = known_plan(settings(), name, options) if name else None
    if made is None:
        made = _planned(file, options, name, literal_secrets=allow_literal_secrets)
    if out is not None:
        keep(made, file, out)
        say(f"the plan is kept in {out}")
    show(made, output)
    if output is not PlanOutput.TEXT:
        for gateway in made["gateways"]:
            if reason := gateway.get("unvalidated"):
                say(f"gateway {gateway['name']} was not asked what it would take: {reason}")
    return exit_code(made)


def _planned(
    file: list[str], options: dict[str, bool], name: "Name | None", *, literal_secrets: bool
) -> Value:
    """The plan of the whole declaration, which the service may know again by its name."""
    from cli.declaration import read_declaration
    from cli.planning import plan_of
    from cli.service import connected

    declaration = read_declaration(file, os.environ, literal_secrets=literal_secrets)
    digest = name.of(declaration.references) if name else None
    with connected(settings()) as service:
        return plan_of(service, declaration, options, digest)


def show(made: Value, output: PlanOutput) -> None:
    """Print a plan on stdout."""
    from cli.plan_text import plan_markdown, plan_text
    from cli.rendering import as_json

    match output:
        case PlanOutput.JSON:
            typer.echo(as_json(made))
        case PlanOutput.MARKDOWN:
            typer.echo(plan_markdown(made))
        case PlanOutput.TEXT:
            typer.echo(plan_text(made, paint_for(sys.stdout.isatty())))


def paint_for(terminal: bool) -> "Paint":
    """Colour on a terminal alone, and not where NO_COLOR says so."""
    from cli.plan_text import plain

    if not terminal or os.environ.get("NO_COLOR"):
        return plain
    return lambda text, colour: typer.style(text, fg=colour)
