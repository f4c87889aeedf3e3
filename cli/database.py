"""ctl db: the tables that Sluice keeps its state in."""

import os

import typer

from cli.session import say


def add_to(app: typer.Typer) -> None:
    database = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    database.callback()(_db)
    database.command()(upgrade)
    app.add_typer(database, name="db")


def _db() -> None:
    """The tables of Sluice."""


def upgrade() -> None:
    """Bring the database of SLUICE_DATABASE_URL to this release; `ctl up` does so with its own."""
    import asyncio

    from controlplane.errors import InvalidSettings
    from controlplane.settings import Settings
    from controlplane.store import migrate

    url = Settings.from_env(os.environ).database_url
    if url is None:
        raise InvalidSettings(
            "SLUICE_DATABASE_URL is not set",
            remedy="it names the database to upgrade; that of `ctl up` is upgraded whenever the stack starts",
        )
    asyncio.run(migrate.upgrade(url))
    say("the database is up to date")
