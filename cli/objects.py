"""ctl get, ctl describe, ctl delete: what is declared, and how it stands."""

from enum import StrEnum
from typing import Annotated

import typer

from cli.rendering import Output
from cli.session import TIMEOUT_S, agreed, say, settings, show_convergence

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]


class Plural(StrEnum):
    """The kinds of declared objects."""

    QUEUES = "queues"
    RULES = "rules"
    PROVIDERS = "providers"
    KEYS = "keys"
    TENANTS = "tenants"
    TIERS = "tiers"
    GATEWAYS = "gateways"

    @property
    def singular(self) -> str:
        return self.removesuffix("s")


class Describable(StrEnum):
    QUEUE = "queue"
    RULE = "rule"


Kind = Annotated[str, typer.Argument(help=" | ".join(Plural))]


def add_to(app: typer.Typer) -> None:
    for verb in (get, describe, delete):
        app.command()(verb)


def get(
    kind: Kind,
    name: Annotated[str | None, typer.Argument(help="One object, by its name or its UUID.")] = None,
    output: OutputOption = Output.TABLE,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Show the keys of gateways; this is audited.")
    ] = False,
) -> None:
    """Show objects of one kind, or one of them. Secrets are masked."""
    from cli.rendering import as_json, as_yaml, objects_table
    from cli.service import connected, path_of

    plural = _plural(kind)
    if show_secrets and plural is not Plural.GATEWAYS:
        raise typer.BadParameter("--show-secrets is for gateways alone")
    with connected(settings()) as service:
        if show_secrets:
            names = [name] if name else [item["name"] for item in service.items(plural)]
            found = [service.get(path_of(plural, each), show_secrets="true") for each in names]
        else:
            found = [service.get(path_of(plural, name))] if name else service.items(plural)
    shown = found[0] if name else found
    match output:
        case Output.JSON:
            typer.echo(as_json(shown))
        case Output.YAML:
            typer.echo(as_yaml(shown))
        case Output.TABLE if found:
            typer.echo(objects_table(plural, found))
        case Output.TABLE:
            say(f"there are no {plural}")


def describe(
    kind: Annotated[Describable, typer.Argument(help=" | ".join(Describable))],
    name: Annotated[str, typer.Argument(help="The object, by its name or its UUID.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show a queue or a rule: limits, addresses, what is behind it, state on the gateways."""
    from cli import description, rule_description
    from cli.rendering import as_json, as_yaml
    from cli.service import connected

    with connected(settings()) as service:
        page = rule_description if kind is Describable.RULE else description
        value = page.description(service, name)
    match output:
        case Output.JSON:
            typer.echo(as_json(value))
        case Output.YAML:
            typer.echo(as_yaml(value))
        case Output.TABLE:
            typer.echo(page.described(value))


def delete(
    kind: Kind,
    name: Annotated[str, typer.Argument(help="The object, by its name or its UUID.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for the gateways.")
    ] = TIMEOUT_S,
) -> None:
    """Delete one object, unless another refers to it, and wait until no gateway has it."""
    from cli.service import connected, path_of

    plural = _plural(kind)
    with connected(settings()) as service:
        found = service.get(path_of(plural, name))
        agreed(f"Delete {plural.singular} {found['name']}?", yes=yes)
        service.delete(path_of(plural, name))
        say(f"{plural.singular} {found['name']} is deleted")
        show_convergence(service, service.newest_revision(), timeout, [])


def _plural(kind: str) -> Plural:
    for plural in Plural:
        if kind in (plural, plural.singular):
            return plural
    raise typer.BadParameter(f"{kind!r} is none of {', '.join(Plural)}")
