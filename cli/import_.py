"""ctl import: what is on a gateway already, as a file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.session import say, settings

if TYPE_CHECKING:
    from controlplane.core.importing import Imported

KEY_VARIABLE = "APISIX_ADMIN_KEY"


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_)


def import_(
    gateway: Annotated[
        str,
        typer.Option("--from-gateway", help="A gateway that the service knows, or the URL of an Admin API."),
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

    found = _read(*_address(gateway, key_variable), source)
    names = variables(found.document)
    for note in found.notes:
        say(f"not carried over: {note}")
    if secrets_out is not None:
        _keep(secrets_out, {names[place]: text for place, text in found.secrets.items()})
    for name in names.values():
        say(f"set {name} before this is applied")
    head = "".join(f"# not carried over: {_line(str(note))}\n" for note in found.notes)
    typer.echo(head + as_file(found.document, env=True), nl=False)


def _address(gateway: str, key_variable: str) -> tuple[str, str, str]:
    """The gateway's kind, where its Admin API answers, and its key."""
    from cli.service import connected, path_of
    from controlplane.errors import InvalidSettings

    if gateway.startswith(("http://", "https://")):
        key = os.environ.get(key_variable)
        if not key:
            raise InvalidSettings(
                f"{key_variable} is not set, and the Admin API asks for a key",
                remedy="export it, or name another variable with --key-env",
            )
        return "apisix", gateway, key
    with connected(settings()) as service:
        shown = service.get(path_of("gateways", gateway), show_secrets="true")
    if shown["admin_url"] is None:
        raise InvalidSettings(
            f"gateway {gateway} is the file {shown['file']} of the service, which cannot be read from here",
            remedy="name a gateway with an Admin API",
        )
    return shown["kind"], shown["admin_url"], shown["admin_key"] or ""


def _read(kind: str, url: str, key: str, source: str) -> "Imported":
    import asyncio

    from controlplane.core.gateways import GatewayKind
    from controlplane.core.importing import import_objects
    from controlplane.gateway.making import driver_of

    async def read() -> "Imported":
        driver = driver_of(GatewayKind(kind), url, key)
        try:
            return import_objects(await driver.read(), source)
        finally:
            await driver.close()

    return asyncio.run(read())


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
