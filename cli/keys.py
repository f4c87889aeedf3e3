"""ctl keys: keys of applications."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.rendering import Output
from cli.session import TIMEOUT_S, say, settings, show_convergence
from controlplane.core.rotation import USUAL_OVERLAP

if TYPE_CHECKING:
    from cli.service import Json


def add_to(app: typer.Typer) -> None:
    keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    # Without a callback a group of one command would become that command itself.
    keys.callback()(_keys)
    keys.command()(create)
    keys.command()(rotate)
    app.add_typer(keys, name="keys")


def _keys() -> None:
    """Keys of applications."""


def create(
    name: Annotated[str, typer.Argument(help="What to call the key.")],
    queue: Annotated[list[str] | None, typer.Option("--queue", "-q", help="A queue that it opens.")] = None,
    provider: Annotated[
        list[str] | None, typer.Option("--provider", help="A provider that it may call directly.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option("--model", help="A model that may answer it.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose it is.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it ends, as 2030-01-31T12:00:00Z.")] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print it.")] = Output.TABLE,
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for the gateways.")
    ] = TIMEOUT_S,
) -> None:
    """Make up a key and print it, this once; then wait until every gateway knows it."""
    from cli.service import connected

    wanted = {
        "name": name,
        "queues": queue,
        "providers": provider,
        "models": model,
        "tenant": tenant,
        "expires_at": expires_at,
    }
    with connected(settings()) as service:
        made = service.create("keys", {field: value for field, value in wanted.items() if value})
        _show(made, output)
        show_convergence(service, made["version"], timeout, [("keys", name)])


def rotate(
    name: Annotated[str, typer.Argument(help="The key.")],
    overlap: Annotated[
        str,
        typer.Option(help="How long the text before goes on working: 0 for not at all, 30m, 24h, 7d."),
    ] = USUAL_OVERLAP,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print it.")] = Output.TABLE,
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for the gateways.")
    ] = TIMEOUT_S,
) -> None:
    """Make up another text for a key and print it, this once; the one before works until the overlap ends."""
    from cli.service import connected, path_of

    with connected(settings()) as service:
        made = service.create(path_of("keys", name, "rotate"), {"overlap": overlap})
        _show(made, output)
        until = made["old_texts_until"]
        say(f"the text before works until {until[-1]}" if until else "the text before has ceased to work")
        show_convergence(service, made["version"], timeout, [("keys", made["name"])])


def _show(made: "Json", output: Output) -> None:
    from cli.rendering import as_json, as_yaml

    match output:
        case Output.JSON:
            typer.echo(as_json(made))
        case Output.YAML:
            typer.echo(as_yaml(made))
        case Output.TABLE:
            typer.echo(made["key"])
    say("the key is shown this once; keep it now")
