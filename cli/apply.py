"""ctl apply, ctl validate: what a file declares."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.session import TIMEOUT_S, agreed, refuse, say, settings, show_convergence

if TYPE_CHECKING:
    from cli.declaration import Declaration
    from cli.keys_file import KeysFile
    from cli.service import Json, Service

File = Annotated[str, typer.Option("--file", "-f", help="The declaration, such as queues.yaml; - is stdin.")]
Literals = Annotated[
    bool, typer.Option("--allow-literal-secrets", help="Take keys that are written out in the file.")
]


def add_to(app: typer.Typer) -> None:
    for verb in (apply, validate):
        app.command()(verb)


def apply(
    file: File,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for the gateways.")
    ] = TIMEOUT_S,
    keys_out: Annotated[
        Path | None, typer.Option(help="A new file (mode 0600) for keys that are made up.")
    ] = None,
    allow_literal_secrets: Literals = False,
) -> None:
    """Make the system as the file says, and wait until every gateway enforces it. Deletes nothing."""
    from cli.keys_file import KeysFile
    from cli.rendering import changes_list
    from cli.service import connected

    declaration = _read(file, literal_secrets=allow_literal_secrets)
    with connected(settings()) as service:
        changes = _send(service, declaration, dry_run=True)["changes"]
        new_keys = sorted(
            change["name"]
            for change in changes
            if (change["kind"], change["action"]) == ("key", "create")
            and change["name"] in declaration.unnamed_keys()
        )
        keys_file = KeysFile(keys_out) if keys_out and new_keys else None
        if new_keys and not keys_file and not sys.stdout.isatty():
            raise refuse(
                f"keys will be made up ({', '.join(new_keys)}), each shown once, and stdout is no terminal",
                "--keys-out FILE keeps them",
            )
        if changes:
            say(changes_list(changes))
            agreed("Apply this?", yes=yes)
        revision = _apply(service, declaration, keys_file, changed=bool(changes))
        owners = [(f"{change['kind']}s", change["name"]) for change in changes]
        show_convergence(service, revision, timeout, [owner for owner in owners if owner[0] != "tenants"])


def validate(file: File, allow_literal_secrets: Literals = False) -> None:
    """Check a file without a service: its grammar, and that each limit can be enforced."""
    from controlplane.core.enforcement import place
    from controlplane.errors import InvalidSpec, Problem

    declaration = _read(file, literal_secrets=allow_literal_secrets)
    problems = [
        declaration.placed(Problem(f"queues.{queue.name}.{found.field}", found.message, found.remedy))
        for queue in declaration.document.queues
        for found in place(queue).problems
    ]
    if problems:
        raise InvalidSpec(f"{declaration.file} declares what cannot be enforced", problems=problems)
    say(f"{declaration.file} is valid")


def _apply(
    service: "Service", declaration: "Declaration", keys_file: "KeysFile | None", *, changed: bool
) -> int:
    """Send the document and hand over keys that were made up; the revision that holds it now."""
    if keys_file is None:
        done = _send(service, declaration, dry_run=False)
        for key in done["keys"]:
            typer.echo(f"{key['name']}: {key['key']}")
        if done["keys"]:
            say("keys are shown this once; keep them now")
    else:
        with keys_file:
            done = _send(service, declaration, dry_run=False)
            keys_file.write({key["name"]: key["key"] for key in done["keys"]})
        say(f"the keys that were made up are in {keys_file.path}")
    say(f"revision {done['revision']}" if changed else "nothing to change")
    return int(done["revision"])


def _send(service: "Service", declaration: "Declaration", *, dry_run: bool) -> "Json":
    """Apply, with the service's problems led back to the lines of the file."""
    from cli.service import ServiceRefused

    try:
        return service.apply(declaration.data, dry_run=dry_run)
    except ServiceRefused as error:
        raise ServiceRefused(
            f"{declaration.file} was not accepted: {error.message}",
            status=error.status,
            remedy=error.remedy,
            problems=tuple(declaration.placed(problem) for problem in error.problems),
        ) from error


def _read(file: str, *, literal_secrets: bool) -> "Declaration":
    from cli.declaration import read_declaration

    return read_declaration(file, os.environ, literal_secrets=literal_secrets)
