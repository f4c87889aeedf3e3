"""ctl history, ctl show, ctl diff, ctl rollback: what was written before, and the way back to it."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.exit_codes import ExitCode
from cli.plan import PlanOutput
from cli.plan import show as show_plan
from cli.rendering import Output
from cli.session import TIMEOUT_S, agreed, refuse, say, settings

if TYPE_CHECKING:
    from cli.service import Json, Service

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
Revision = Annotated[int, typer.Argument(min=1, help="The number of a revision; `ctl history` lists them.")]


def add_to(app: typer.Typer) -> None:
    for verb in (history, show, diff, rollback):
        app.command()(verb)


def history(
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many revisions at most.")] = 20,
    before: Annotated[int | None, typer.Option(min=1, help="Only revisions older than this one.")] = None,
    source: Annotated[str | None, typer.Option(help="Only what this source wrote.")] = None,
    author: Annotated[str | None, typer.Option(help="Only what this author wrote.")] = None,
    about: Annotated[
        str | None, typer.Option("--object", help="Only what changed this object: queue/support.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List revisions, the newest first: each is one write, by whomever."""
    from cli.history_text import history_table
    from cli.service import connected

    filters = {"limit": str(limit), "cursor": before, "source": source, "author": author, "object": about}
    query = {name: str(value) for name, value in filters.items() if value is not None}
    with connected(settings()) as service:
        page = service.get("revisions", **query)
    if output is not Output.TABLE:
        _echo(page["items"], output)
    elif page["items"]:
        typer.echo(history_table(page["items"]))
        if page["next_cursor"]:
            say(f"older ones: --before {page['next_cursor']}")
    else:
        say("there are no such revisions")


def show(revision: Revision, output: OutputOption = Output.TABLE) -> None:
    """Show what one revision changed, field by field. Secrets are masked."""
    from cli.history_text import changes_text, head_text
    from cli.service import connected

    with connected(settings()) as service:
        found = service.get(f"revisions/{revision}")
    if output is not Output.TABLE:
        _echo(found, output)
        return
    typer.echo(head_text(found))
    typer.echo(changes_text(found["changes"]))


def diff(
    revision: Revision,
    other: Annotated[
        int | None, typer.Argument(min=1, help="Another revision; what is declared now without it.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what is different in another revision, or now. Secrets are masked."""
    from cli.history_text import changes_text
    from cli.service import connected

    to = {} if other is None else {"to": str(other)}
    with connected(settings()) as service:
        found = service.get(f"revisions/{revision}/diff", **to)
    if output is not Output.TABLE:
        _echo(found, output)
    elif found["changes"]:
        typer.echo(changes_text(found["changes"]))
    else:
        say(f"nothing is different between revision {found['from']} and revision {found['to']}")


def rollback(
    revision: Revision,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, with the exit codes of ctl plan.")
    ] = False,
    allow_mass_delete: Annotated[
        bool, typer.Option("--allow-mass-delete", help="Agree to over 30 % removals, 10 objects or more.")
    ] = False,
    output: Annotated[PlanOutput, typer.Option("--output", "-o", help="How --dry-run prints the plan.")] = (
        PlanOutput.TEXT
    ),
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for the gateways.")
    ] = TIMEOUT_S,
) -> int:
    """Make everything but gateways as it was at a revision, as a new revision.

    What was removed since returns with its id and its secrets; what has come since goes, unless it is
    protected. Exit codes: 0 done, 1 error, 4 refused, 5 stored, and not every gateway enforces it yet.
    """
    from cli.plan_text import nothing_to_do, plan_text
    from cli.planning import exit_code
    from cli.results import interrupted, show_results
    from cli.service import connected

    path = f"revisions/{revision}/rollback"
    options = {"allow_mass_delete": "true"} if allow_mass_delete else {}
    with connected(settings()) as service:
        made = service.get(path, **options)
        if dry_run:
            show_plan(made, output)
            return exit_code(made)
        if nothing_to_do(made) and not made["refusals"]:
            say("nothing to change")
            return ExitCode.OK
        say(plan_text(made))
        if made["refusals"]:
            return ExitCode.REFUSED
        agreed(f"Go back to revision {revision}?", yes=yes)
        try:
            done = _carried_out(service, path, {**options, "fingerprint": made["fingerprint"]})
        except KeyboardInterrupt:
            return interrupted("what was sent may be stored")
        say(f"revision {done['revision']}")
        return show_results(service, done, made, timeout)


def _carried_out(service: "Service", path: str, options: dict[str, str]) -> "Json":
    from cli.connection import Request
    from cli.service import AGAIN, ServiceRefused, storing

    try:
        with storing(AGAIN):
            return service.call(Request("POST", path, options))
    except ServiceRefused as error:
        if error.status != 412:
            raise
        raise refuse(error.message, error.remedy or "look at what is different, and try again") from None


def _echo(value: object, output: Output) -> None:
    from cli.rendering import as_json, as_yaml

    typer.echo(as_json(value) if output is Output.JSON else as_yaml(value))
