"""ctl audit: who did what, and whether that is still as it was written."""

from enum import StrEnum
from typing import Annotated

import typer

from cli.session import say, say_error, settings


class AuditOutput(StrEnum):
    """How the audit is printed; JSON lines have every row, the others a page of them."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def add_to(app: typer.Typer) -> None:
    app.command()(audit)


def audit(
    author: Annotated[str | None, typer.Option(help="Only what this author did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, such as delete.")] = None,
    about: Annotated[
        str | None, typer.Option("--object", help="Only what was done to this object: queue/support.")
    ] = None,
    request_id: Annotated[str | None, typer.Option(help="Only what this request did.")] = None,
    revision: Annotated[int | None, typer.Option(min=1, help="Only what this revision did.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from this moment on: 2026-01-31T12:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Only before this moment.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many rows at most.")] = 20,
    before: Annotated[int | None, typer.Option(min=1, help="Only rows older than this one.")] = None,
    output: Annotated[
        AuditOutput, typer.Option("--output", "-o", help="How to print it; jsonl exports every row.")
    ] = AuditOutput.TABLE,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that no row was changed, taken out or put in.")
    ] = False,
    head: Annotated[
        str | None, typer.Option(help="With --verify: the head of an earlier check must still be there.")
    ] = None,
) -> int:
    """Show who did what, the newest first. Secrets are masked.

    Exit code 1 with --verify when the audit is not as it was written.
    """
    if verify:
        return _verify(head)
    filters = {
        "author": author,
        "action": action,
        "object": about,
        "request_id": request_id,
        "revision": revision,
        "since": since,
        "until": until,
    }
    query = {name: str(value) for name, value in filters.items() if value is not None}
    if output is AuditOutput.JSONL:
        _export(query)
        return 0
    page = {"limit": str(limit)} | ({} if before is None else {"cursor": str(before)})
    _show(query | page, output)
    return 0


def _show(query: dict[str, str], output: AuditOutput) -> None:
    from cli.history_text import audit_table
    from cli.rendering import as_json
    from cli.service import connected

    with connected(settings()) as service:
        page = service.get("audit", **query)
    if output is AuditOutput.JSON:
        typer.echo(as_json(page["items"]))
    elif page["items"]:
        typer.echo(audit_table(page["items"]))
        if page["next_cursor"]:
            say(f"older ones: --before {page['next_cursor']}")
    else:
        say("there are no such rows")


def _export(query: dict[str, str]) -> None:
    from cli.service import connected

    with connected(settings()) as service:
        for line in service.lines("audit/export", **query):
            typer.echo(line)


def _verify(head: str | None) -> int:
    from cli.exit_codes import ExitCode
    from cli.service import connected

    with connected(settings()) as service:
        found = service.get("audit/check", **({} if head is None else {"head": head}))
    for finding in found["findings"]:
        where = f"row {finding['row']}: " if finding["row"] else ""
        say_error(f"{where}{finding['what']}")
    if found["findings"]:
        return ExitCode.ERROR
    say(f"{found['rows']} rows, all as they were written")
    typer.echo(found["head"])
    return ExitCode.OK
