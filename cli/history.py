"""ctl history, ctl show, ctl diff: what was written before, by whom, and what it changed."""

from typing import Annotated

import typer

from cli.rendering import Output
from cli.session import say, settings

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
Revision = Annotated[int, typer.Argument(min=1, help="The number of a revision; `ctl history` lists them.")]


def add_to(app: typer.Typer) -> None:
    for verb in (history, show, diff):
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


def _echo(value: object, output: Output) -> None:
    from cli.rendering import as_json, as_yaml

    typer.echo(as_json(value) if output is Output.JSON else as_yaml(value))
