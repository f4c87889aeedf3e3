"""ctl export: what is declared, as files that change nothing when they are applied."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.session import say, settings

Value = dict[str, Any]  # Any: a document as the service shows it


class Secrets(StrEnum):
    """What stands for a stored secret."""

    KEPT = "kept"
    ENV = "env"


def add_to(app: typer.Typer) -> None:
    app.command()(export)


def export(
    source: Annotated[str | None, typer.Option(help="Only what this source declares.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Write a file for each source into this folder.")
    ] = None,
    secrets: Annotated[
        Secrets,
        typer.Option(help="kept: ***, which stands for what is stored; env: a reference for each secret."),
    ] = Secrets.KEPT,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Print what is declared as queues.yaml: applied again, it changes nothing. No secret is in it."""
    from cli.exporting import as_file, variables
    from cli.service import connected
    from controlplane.errors import InvalidSpec

    with connected(settings()) as service:
        query = {} if source is None else {"source": source}
        documents: list[Value] = service.get("export", **query)["documents"]
    if not documents:
        about = f"source {source!r} declares nothing" if source else "nothing is declared"
        raise InvalidSpec(about, remedy="see `ctl history`, which lists sources")
    if source is None and folder is None:
        documents = _without_mere_gateways(documents)
    texts = {item["source"]: as_file(item, env=secrets is Secrets.ENV) for item in documents}
    if folder is not None:
        _write(folder, texts, force=force)
    elif len(texts) == 1:
        typer.echo(next(iter(texts.values())), nl=False)
    else:
        raise InvalidSpec(
            f"several sources declare something: {', '.join(texts)}",
            remedy="--source NAME prints one of them, --folder writes a file for each",
        )
    if secrets is Secrets.ENV:
        for name in [name for item in documents for name in variables(item).values()]:
            say(f"set {name} before this is applied")


def _without_mere_gateways(documents: list[Value]) -> list[Value]:
    """The documents of several sources but those that declare nothing but gateways, of which it tells."""
    mere = [item for item in documents if not item.keys() - {"version", "source", "gateways"}]
    if len(mere) in (0, len(documents)):
        return documents
    for item in mere:
        say(f"--source {item['source']} prints the gateways of source {item['source']!r}, which are left out")
    return [item for item in documents if item not in mere]


def _write(folder: Path, texts: dict[str, str], *, force: bool) -> None:
    from controlplane.errors import InvalidSpec

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, text in texts.items():
            path = folder / f"{source}.yaml"
            with path.open("w" if force else "x", encoding="utf-8") as file:
                file.write(text)
            say(f"{path} is written")
    except FileExistsError:
        raise InvalidSpec(f"{path} is there already", remedy="--force writes over it") from None
    except OSError as error:
        raise InvalidSpec(f"{folder} cannot be written: {error.strerror}") from None
