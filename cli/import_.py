"""ctl import: what is on a gateway already, as a file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.session import say, settings

if TYPE_CHECKING:
    from controlplane.core.importing.document import Objects

KEY_VARIABLE = "APISIX_ADMIN_KEY"


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_)


def import_(
    gateway: Annotated[
        str,
        typer.Option(
            "--from-gateway",
            help="A gateway that the service knows, the URL of an Admin API, or an apisix.yaml.",
        ),
    ],
    key_variable: Annotated[
        str, typer.Option("--key-env", help="With a URL: the variable that holds the Admin API's key.")
    ] = KEY_VARIABLE,
    source: Annotated[str, typer.Option(help="The source that the file declares for.")] = "imported",
    secrets_out: Annotated[
        Path | None, typer.Option(help="A new file (mode 0600) for the secrets, as NAME=value lines.")
    ] = None,
) -> None:
    """Print the LLM routes of a gateway, their limits and their keys, as queues.yaml.

    What cannot be expressed is listed on stderr and at the top of the file. The gateway is only read.
    Secrets are references to variables; --secrets-out keeps their values.
    """
    from cli.exporting import as_file, variables
    from controlplane.core.importing import import_objects

    found = import_objects(_objects(gateway, key_variable), source)
    names = variables(found.document)
    for note in found.notes:
        say(f"not carried over: {note}")
    say("not looked at: global rules and consumer groups, which may add plugins to these routes")
    if secrets_out is not None:
        by_place = {(section, name): variable for (section, name, _), variable in names.items()}
        _keep(secrets_out, {by_place[place]: text for place, text in found.secrets.items()})
    for name in names.values():
        say(f"set {name} before this is applied")
    head = "".join(f"# not carried over: {_line(str(note))}\n" for note in found.notes)
    typer.echo(head + as_file(found.document, env=True), nl=False)


def _objects(gateway: str, key_variable: str) -> "Objects":
    """Everything of the kinds that we make, wherever it is."""
    import asyncio

    if gateway.endswith((".yaml", ".yml")):
        from cli.apisix_file import objects_in

        return objects_in(Path(gateway), os.environ)
    return asyncio.run(_read(*_address(gateway, key_variable)))


def _address(gateway: str, key_variable: str) -> tuple[list[str], str, str]:
    """The kinds that the gateway may be of, where its Admin API answers, and its key."""
    from cli.service import connected, path_of
    from controlplane.core.gateways import GatewayKind
    from controlplane.errors import InvalidSettings

    if gateway.startswith(("http://", "https://")):
        key = os.environ.get(key_variable)
        if not key:
            raise InvalidSettings(
                f"{key_variable} is not set, and the Admin API asks for a key",
                remedy="export it, or name another variable with --key-env",
            )
        return [GatewayKind.STANDALONE, GatewayKind.APISIX], gateway, key
    with connected(settings()) as service:
        shown = service.get(path_of("gateways", gateway), show_secrets="true")
    if shown["admin_url"] is None:
        raise InvalidSettings(
            f"gateway {gateway} is the file {shown['file']} in a folder of the service's machine",
            remedy="hand its path to --from-gateway where the file is",
        )
    return [shown["kind"]], shown["admin_url"], shown["admin_key"] or ""


async def _read(kinds: Sequence[str], url: str, key: str) -> "Objects":
    """What the gateway holds, read as the first of these kinds whose address is there at all."""
    from http import HTTPStatus

    from controlplane.core.gateways import GatewayKind
    from controlplane.errors import GatewayRefused
    from controlplane.gateway.making import driver_of

    driver = driver_of(GatewayKind(kinds[0]), url, key)
    try:
        return await driver.read()
    except GatewayRefused as error:
        if error.status != HTTPStatus.NOT_FOUND or len(kinds) == 1:
            raise
    finally:
        await driver.close()
    return await _read(kinds[1:], url, key)


def _keep(path: Path, values: dict[str, str]) -> None:
    from shlex import quote

    from controlplane.errors import InvalidSpec

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{name}={quote(text)}\n" for name, text in values.items())
    except OSError as error:
        raise InvalidSpec(f"{path} cannot be written: {error.strerror}") from None
    say(f"{len(values)} secrets are in {path}")


def _line(text: str) -> str:
    return " ".join(text.split())
