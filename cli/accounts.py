"""ctl account, ctl token, ctl whoami: who may use the control plane."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli.rendering import Output
from cli.session import agreed, say, settings

if TYPE_CHECKING:
    from cli.service import Json

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
Account = Annotated[str, typer.Argument(help="The account, by its name or its UUID.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def add_to(app: typer.Typer) -> None:
    account = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    account.callback(help="People and services that may use the control plane.")(_group)
    account.command("create")(create_account)
    account.command("list")(list_accounts)
    account.command("delete")(delete_account)
    token = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    token.callback(help="What an account sends to be let in.")(_group)
    token.command("create")(create_token)
    token.command("list")(list_tokens)
    token.command("revoke")(revoke_token)
    app.add_typer(account, name="account")
    app.add_typer(token, name="token")
    app.command()(whoami)


def _group() -> None:
    """The verbs below it do the work."""


def whoami(output: OutputOption = Output.TABLE) -> None:
    """Show whose token ctl sends, and what it allows."""
    from cli.service import connected

    with connected(settings()) as service:
        caller = service.get("whoami")
    caller.pop("csrf_token", None)
    _show(output, caller, [caller], ("name", "role", "tenant", "permissions"))


def create_account(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    role: Annotated[str, typer.Option(help="viewer | editor | admin")],
    kind: Annotated[str, typer.Option(help="person | service")] = "person",
    tenant: Annotated[str | None, typer.Option(help="The one tenant that it may see and change.")] = None,
    email: Annotated[str | None, typer.Option(help="What the identity provider knows a person by.")] = None,
) -> None:
    """Let somebody in."""
    from cli.service import connected

    wanted = {"name": name, "role": role, "kind": kind, "tenant": tenant, "email": email}
    with connected(settings()) as service:
        service.create("accounts", {field: value for field, value in wanted.items() if value})
    say(f"account {name} is there; `ctl token create {name}` lets a script in")


def list_accounts(output: OutputOption = Output.TABLE) -> None:
    """Show every account."""
    from cli.service import connected

    with connected(settings()) as service:
        found = service.get("accounts")["items"]
    fields = ("name", "kind", "role", "tenant", "email", "enabled")
    _show(output, found, found, fields)


def delete_account(name: Account, yes: Yes = False) -> None:
    """Let somebody in no longer: the account, its tokens and its sessions are removed."""
    from cli.service import connected, path_of

    agreed(f"Remove the account {name} with its tokens?", yes=yes)
    with connected(settings()) as service:
        service.delete(path_of("accounts", name))
    say(f"account {name} is gone")


def create_token(
    account: Account,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    expires: Annotated[str | None, typer.Option(help="After how long it ends, such as 12h or 90d.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a token and print it, this once."""
    from cli.rendering import as_json, as_yaml
    from cli.service import connected, path_of

    body = {"label": label} | ({"expires_at": _moment_after(expires)} if expires else {})
    with connected(settings()) as service:
        made = service.create(path_of("accounts", account, "tokens"), body)
    if output is Output.TABLE:
        typer.echo(made["text"])
    else:
        typer.echo(as_json(made) if output is Output.JSON else as_yaml(made))
    say("the token is shown this once; keep it now")


def list_tokens(account: Account, output: OutputOption = Output.TABLE) -> None:
    """Show the tokens of an account, without their texts."""
    from cli.service import connected, path_of

    with connected(settings()) as service:
        found = service.get(path_of("accounts", account, "tokens"))["items"]
    fields = ("id", "label", "created_at", "expires_at", "last_used_at")
    _show(output, found, found, fields)


def revoke_token(
    account: Account,
    token: Annotated[str, typer.Argument(help="The token's id, as `ctl token list` shows it.")],
    yes: Yes = False,
) -> None:
    """Make a token open nothing, at once."""
    from cli.service import connected, path_of

    agreed(f"Revoke this token of {account}?", yes=yes)
    with connected(settings()) as service:
        service.delete(path_of("accounts", account, "tokens", token))
    say("the token opens nothing any more")


def _show(output: Output, value: object, rows: Sequence["Json"], fields: Sequence[str]) -> None:
    from cli.rendering import as_json, as_yaml, table

    match output:
        case Output.JSON:
            typer.echo(as_json(value))
        case Output.YAML:
            typer.echo(as_yaml(value))
        case Output.TABLE:
            headings = [field.replace("_", " ") for field in fields]
            typer.echo(table(headings, [[_text(row[field]) for field in fields] for row in rows]))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _moment_after(duration: str) -> str:
    from controlplane.core.durations import InvalidDuration, window_seconds

    try:
        seconds = window_seconds(duration)
    except InvalidDuration as error:
        raise typer.BadParameter(str(error)) from None
    if seconds is None:
        raise typer.BadParameter("write a length such as 12h or 90d")
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
