"""Brings a database to the newest release: `python -m controlplane.store.migrate upgrade`."""

import asyncio
import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from controlplane.errors import InvalidSettings, SluiceError, StoreUnavailable
from controlplane.settings import Settings

_LOCK = 0x51C1CE00
"""Two processes that migrate at once take turns."""


async def upgrade(database_url: str, revision: str = "head") -> None:
    """Run every migration that the database has not seen. Raises StoreUnavailable."""
    engine = create_async_engine(_dialect_url(database_url))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(_upgrade, revision)
    except (OSError, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StoreUnavailable(
            f"the database cannot be migrated: {cause}", remedy="check SLUICE_DATABASE_URL"
        ) from None
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _dialect_url(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.partition("+")[0] not in ("postgres", "postgresql"):
        raise InvalidSettings(
            "SLUICE_DATABASE_URL is no Postgres URL", remedy="write postgresql://user:password@host:port/name"
        )
    return f"postgresql+asyncpg://{rest}"


def main(arguments: list[str]) -> int:
    """The command line; 0 when the database is up to date."""
    if arguments != ["upgrade"]:
        sys.stderr.write("usage: python -m controlplane.store.migrate upgrade\n")
        return 2
    settings = Settings.from_env(os.environ)
    try:
        if settings.database_url is None:
            raise InvalidSettings("SLUICE_DATABASE_URL is not set")
        asyncio.run(upgrade(settings.database_url))
    except SluiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
