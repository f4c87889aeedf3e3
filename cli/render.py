"""ctl render: the gateway objects of a declaration, without a service."""

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.apply import File, Literals
from cli.session import say


class ObjectFormat(StrEnum):
    """How gateway objects are written."""

    ADMIN = "admin"
    APISIX_YAML = "apisix-yaml"


def add_to(app: typer.Typer) -> None:
    app.command()(render)


def render(
    file: File,
    object_format: Annotated[
        ObjectFormat, typer.Option("--format", help="Requests of the Admin API, or a standalone apisix.yaml.")
    ] = ObjectFormat.ADMIN,
    token_budget: Annotated[
        bool, typer.Option("--token-budget", help="For a gateway that has the plugin token-budget.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write this file (mode 0600) instead of stdout.")] = None,
    reveal_secrets: Annotated[
        bool, typer.Option("--reveal-secrets", help="Write secrets as they are; only together with --out.")
    ] = False,
    allow_literal_secrets: Literals = False,
) -> None:
    """Show the gateway objects of a declaration, without a service. Secrets are masked."""
    from cli.declaration import read_declaration
    from cli.object_files import admin_requests, apisix_yaml
    from cli.offline import compiled, rendered, secret_texts
    from cli.private_file import write_private
    from controlplane.core.objects import secret_names
    from controlplane.settings import Settings

    if reveal_secrets and out is None:
        raise typer.BadParameter("--reveal-secrets needs --out, for a terminal and a log keep what they see")
    declaration = read_declaration(file, os.environ, literal_secrets=allow_literal_secrets)
    owner = Settings.from_env(os.environ).owner
    objects = compiled(declaration, datetime.now(UTC), owner=owner, token_budget=token_budget)
    made = rendered(objects, secret_texts(declaration) if reveal_secrets else None)
    text = admin_requests(made) if object_format is ObjectFormat.ADMIN else apisix_yaml(made)
    hidden = sum(bool(secret_names([item])) for item in objects) if not reveal_secrets else 0
    if hidden:
        say(f"{hidden} objects have secrets that read ***; references such as $env://NAME would be whole")
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_private(out, text)
        say(f"{len(objects)} objects are in {out}")
