"""ctl apply: what files declare, made so."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exit_codes import ExitCode
from cli.session import TIMEOUT_S, agreed, refuse, say, say_error, settings

if TYPE_CHECKING:
    from cli.declaration import Declaration
    from cli.keys_file import KeysFile
    from cli.service import Json, Service

FILE_HELP = "The declaration: a file such as queues.yaml, a folder, or - for stdin; may be repeated."
File = Annotated[list[str], typer.Option("--file", "-f", help=FILE_HELP)]
Literals = Annotated[
    bool, typer.Option("--allow-literal-secrets", help="Take keys that are written out in the file.")
]
Prune = Annotated[
    bool,
    typer.Option("--prune", help="Remove what this file's source declared before and no longer does."),
]
AllowMassDelete = Annotated[
    bool,
    typer.Option("--allow-mass-delete", help="Let --prune remove over 30 % of a source, 10 objects or more."),
]
AllowLeftovers = Annotated[
    bool,
    typer.Option(
        "--allow-leftovers", help="Let --prune take out gateways whose objects then stay on them, unattended."
    ),
]
_ATTEMPTS = 5
"""How often a plan is made anew, agreed to beforehand, because others write at the same time."""

_LOST_PLAN = "a plan is applied once: `ctl plan` says what is left to do, `ctl history` what is stored"
_LOST_KEYS = "keys that were made up are lost with the answer: `ctl keys rotate` gives them other texts"

Value = dict[str, Any]  # Any: a plan as the service shows it


class ResultOutput(StrEnum):
    """How it is printed what became of an apply."""

    TEXT = "text"
    JSON = "json"


def add_to(app: typer.Typer) -> None:
    app.command()(apply)


def apply(
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help=FILE_HELP)] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    plan: Annotated[
        Path | None, typer.Option(help="Apply exactly the plan of this file, or nothing.")
    ] = None,
    prune: Prune = False,
    allow_mass_delete: AllowMassDelete = False,
    allow_leftovers: AllowLeftovers = False,
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for the gateways.")
    ] = TIMEOUT_S,
    keys_out: Annotated[
        Path | None, typer.Option(help="A new file (mode 0600) for keys that are made up.")
    ] = None,
    output: Annotated[
        ResultOutput, typer.Option("--output", "-o", help="How to print what became of it.")
    ] = ResultOutput.TEXT,
    allow_literal_secrets: Literals = False,
) -> int:
    """Make the system as the file says, and wait until every gateway enforces it.

    Exit codes: 0 done, 1 error, 4 refused, 5 stored, and not every gateway enforces it yet.
    """
    from cli.known import named
    from cli.planning import kept
    from cli.results import show_results
    from cli.service import connected

    agreed_plan = kept(plan) if plan else None
    if agreed_plan and (prune or allow_mass_delete or allow_leftovers):
        raise typer.BadParameter("--plan has the options with which it was made")
    options = {
        "prune": prune,
        "allow_mass_delete": allow_mass_delete,
        "allow_leftovers": allow_leftovers,
        "refresh": False,
    }
    files = _file(file, agreed_plan)
    name = named(files, os.environ, literal_secrets=allow_literal_secrets)
    declaration = read(files, literal_secrets=allow_literal_secrets)
    digest = name.of(declaration.references) if name else None
    as_value = output is ResultOutput.JSON
    with connected(settings()) as service:
        done = None
        if yes and agreed_plan is None and not declaration.makes_up_keys():
            done = _at_once(service, declaration, options, digest)
        if done is None:
            if agreed_plan:
                made = _same_plan(service, declaration, agreed_plan, digest)
            else:
                made = _planned(service, declaration, options, digest)
            keys_file = _keys_file(made, declaration, keys_out, shown=sys.stdout.isatty() and not as_value)
            if made["changes"] or made["summary"]["writes"]:
                agreed("Apply this?", yes=yes)
            lost = _lost(declaration, agreed_plan)
            done = _apply(service, declaration, made, keys_file, lost, again=yes and agreed_plan is None)
        return show_results(service, done, done["plan"], timeout, as_value=as_value)


@contextmanager
def _stoppable() -> Iterator[None]:
    """From here on an interruption leaves something behind."""
    from cli.results import interrupted

    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(interrupted("what was sent may be stored")) from None


def _file(given: list[str] | None, plan: Value | None) -> list[str]:
    if given:
        return given
    if plan and plan["files"] and "-" not in plan["files"]:
        return [str(name) for name in plan["files"]]
    raise typer.BadParameter("-f says which file to apply")


def _at_once(
    service: "Service", declaration: "Declaration", options: dict[str, bool], digest: str | None
) -> "Json | None":
    """Agreed to beforehand, whatever the plan is; None where it is refused, and has to be looked at."""
    from cli.planning import led_back
    from cli.service import AGAIN, ServiceRefused, storing

    with _stoppable(), led_back(declaration):
        try:
            with storing(AGAIN):
                done = service.plan_and_apply(declaration.data, options, digest)
        except ServiceRefused as error:
            if error.status == 412:
                return None
            raise
    _show(done["plan"])
    _say_done(done)
    return done


def _planned(
    service: "Service", declaration: "Declaration", options: dict[str, bool], digest: str | None
) -> Value:
    """The plan, shown; a plan that is refused ends the command."""
    from cli.planning import plan_of

    made = plan_of(service, declaration, options, digest)
    _show(made)
    if made["refusals"]:
        raise typer.Exit(ExitCode.REFUSED)
    return made


def _show(made: Value) -> None:
    from cli.plan_text import nothing_to_do, plan_text

    if not nothing_to_do(made) or made["refusals"]:
        say(plan_text(made))


def _same_plan(
    service: "Service", declaration: "Declaration", agreed_plan: Value, digest: str | None
) -> Value:
    """The plan as it would be now, which must be the one that was kept."""
    from cli.planning import options_of, says_all_of

    made = _planned(service, declaration, options_of(agreed_plan), digest)
    if made["document"] != agreed_plan["document"]:
        raise refuse("the file, or what its references stand for, is not what was planned", "plan again")
    if made["fingerprint"] != agreed_plan["fingerprint"]:
        raise refuse(
            "the world has moved since the plan was made; above is what it would be now", "plan again"
        )
    if not says_all_of(agreed_plan, made):
        raise refuse("somebody edited the plan since it was made; above is what was planned", "plan again")
    return made


def _keys_file(
    made: Value, declaration: "Declaration", keys_out: Path | None, *, shown: bool
) -> "KeysFile | None":
    """Where keys go that will be made up; they are shown once, and so must not be lost."""
    from cli.keys_file import KeysFile

    created = {
        item["name"] for item in made["changes"] if (item["kind"], item["action"]) == ("key", "create")
    }
    names = sorted(created & declaration.unnamed_keys())
    if names and not keys_out and not shown:
        raise refuse(
            f"keys will be made up ({', '.join(names)}), each shown once, and stdout is no place for them",
            "--keys-out FILE keeps them",
        )
    return KeysFile(keys_out) if keys_out and names else None


def _apply(
    service: "Service",
    declaration: "Declaration",
    made: Value,
    keys_file: "KeysFile | None",
    lost: str,
    *,
    again: bool,
) -> "Json":
    """Carry the plan out and hand over keys that were made up; what the service did, with the plan."""
    with _stoppable():
        if keys_file is None:
            done = _send(service, declaration, made, lost, again=again)
            for key in done["keys"]:
                typer.echo(f"{key['name']}: {key['key']}")
            if done["keys"]:
                say("keys are shown this once; keep them now")
        else:
            with keys_file:
                done = _send(service, declaration, made, lost, again=again)
                keys_file.write({key["name"]: key["key"] for key in done["keys"]})
            say(f"the keys that were made up are in {keys_file.path}")
        done["plan"] = made
        _say_done(done)
        return done


def _lost(declaration: "Declaration", agreed_plan: Value | None) -> str:
    """What to do where the answer to an apply is lost."""
    from cli.service import AGAIN

    remedy = AGAIN if agreed_plan is None else _LOST_PLAN
    return f"{remedy}; {_LOST_KEYS}" if declaration.makes_up_keys() else remedy


def _say_done(done: "Json") -> None:
    plan = done["plan"]
    if plan["changes"]:
        say(f"revision {done['revision']}")
    else:
        say("undoing what was changed by hand" if plan["summary"]["drift"] else "nothing to change")


def _send(service: "Service", declaration: "Declaration", made: Value, lost: str, *, again: bool) -> "Json":
    """Apply the plan. Whoever agreed beforehand agreed to a plan that was made anew, too.

    `lost` says what is to be done where no answer comes.
    """
    from cli.planning import options_of, placed, plan_of
    from cli.service import ServiceRefused, storing

    for attempt in range(_ATTEMPTS):
        try:
            with storing(lost):
                return service.apply(declaration.data, options_of(made), made["fingerprint"])
        except ServiceRefused as error:
            moved = error.status == 412
            if not moved or not again or attempt + 1 == _ATTEMPTS:
                if moved:
                    say_error(f"refused: {error.message}")
                    raise typer.Exit(ExitCode.REFUSED) from None
                raise placed(error, declaration) from error
            made = plan_of(service, declaration, options_of(made))
            if made["refusals"]:
                say_error(f"refused: {error.message}")
                raise typer.Exit(ExitCode.REFUSED) from None
    raise AssertionError("the last attempt either returns or raises")


def read(file: list[str], *, literal_secrets: bool) -> "Declaration":
    from cli.declaration import read_declaration

    return read_declaration(file, os.environ, literal_secrets=literal_secrets)
