"""`ctl`: the command line of Sluice.

Every verb group is a file here with a function `add_to(app)`. These files import what is heavy inside their
verbs, so that `ctl --help` is quick.
"""

from collections.abc import Sequence

import typer

from cli import (
    accounts,
    adopt,
    apply,
    audit,
    database,
    drift,
    export,
    history,
    import_,
    keys,
    objects,
    plan,
    render,
    schema,
    stack,
    validate,
)
from cli.exit_codes import ExitCode
from cli.rendering import printable
from controlplane.errors import SluiceError

app = typer.Typer(
    name="ctl",
    help="Declare queues of LLM providers and the budgets they keep; run the stack that enforces them.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
GROUPS = (
    *(stack, plan, apply, validate, render, schema, drift, adopt, history, export, import_),
    *(objects, keys, accounts, audit, database),
)
for group in GROUPS:
    group.add_to(app)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an error that we know becomes a few lines on stderr."""
    try:
        code = app(list(arguments) or ["--help"], prog_name="ctl", standalone_mode=False)
    except SluiceError as error:
        typer.secho(printable(f"error: {error}"), fg="red", err=True)
        return ExitCode.ERROR
    except typer.TyperException as error:
        typer.secho(f"error: {error.format_message()}", fg="red", err=True)
        return ExitCode.ERROR
    except typer.Abort:
        typer.echo("aborted", err=True)
        return ExitCode.ERROR
    if code == ExitCode.INTERRUPTED:
        typer.echo("interrupted", err=True)
    return code if isinstance(code, int) else ExitCode.OK
