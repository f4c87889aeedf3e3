"""`ctl`: the command line of Sluice.

Every verb group is a file here with a function `add_to(app)`. A command imports its own group alone, and the
groups import what is heavy inside their verbs, so that a command starts quickly.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module

import typer

from cli.exit_codes import ExitCode
from cli.rendering import printable
from controlplane.errors import SluiceError

GROUPS: Mapping[str, Sequence[str]] = {
    "stack": ("up", "down", "status", "logs"),
    "plan": ("plan",),
    "apply": ("apply",),
    "validate": ("validate",),
    "render": ("render",),
    "schema": ("schema",),
    "drift": ("drift",),
    "adopt": ("adopt",),
    "history": ("history", "show", "diff", "rollback"),
    "export": ("export",),
    "import_": ("import",),
    "objects": ("get", "describe", "delete"),
    "keys": ("keys",),
    "accounts": ("whoami", "account", "token"),
    "audit": ("audit",),
    "database": ("db",),
}
"""The file of each verb group, and the verbs that it adds."""


def groups_for(arguments: Sequence[str]) -> list[str]:
    """The group of the verb that is asked for; all of them for help, and for what is no verb."""
    verb = arguments[0] if arguments else ""
    return [group for group, verbs in GROUPS.items() if verb in verbs] or list(GROUPS)


def app_of(groups: Iterable[str]) -> typer.Typer:
    """The command line with these verb groups."""
    app = typer.Typer(
        name="ctl",
        help="Declare queues of LLM providers and the budgets they keep; run the stack that enforces them.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    # Without a callback an app of one verb would become that verb itself.
    app.callback()(_ctl)
    for group in groups:
        import_module(f"cli.{group}").add_to(app)
    return app


def _ctl() -> None:
    """The verbs of `ctl`."""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    return run_with(app_of(groups_for(arguments)), arguments)


def run_with(app: typer.Typer, arguments: Sequence[str]) -> int:
    """The exit code of one command; an error that we know becomes a few lines on stderr."""
    try:
        code = app(list(arguments) or ["--help"], prog_name="ctl", standalone_mode=False)
    except SluiceError as error:
        typer.secho(printable(f"error: {error}"), fg="red", err=True)
        return ExitCode.ERROR
    except typer.TyperException as error:
        typer.secho(f"error: {error.format_message()}", fg="red", err=True)
        return ExitCode.ERROR
    except typer.Abort:
        code = ExitCode.INTERRUPTED  # at a question, and so before anything was sent
    if code == ExitCode.INTERRUPTED:
        typer.echo("interrupted", err=True)
    return code if isinstance(code, int) else ExitCode.OK
