"""Where the admin service is that `ctl` talks to, and what lets it in there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from controlplane.defaults import HOME, HOST, PREFIX, SERVICE_PORT
from controlplane.embedded.home import Home
from controlplane.embedded.state import StackState
from controlplane.embedded.token_file import read_admin_token
from controlplane.errors import InvalidSettings, Problem, Unauthorized

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PORTS = range(1, 65_536)


@dataclass(frozen=True)
class CallerSettings:
    """The settings of whoever calls the service. A field `admin_token` is read from SLUICE_ADMIN_TOKEN.

    The settings of the service are not read for it: their models take longer to import than all of the rest.
    """

    home: Path = HOME
    host: str = HOST
    service_port: int = SERVICE_PORT
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    admin_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "CallerSettings":
        """An empty variable counts as not set. Raises InvalidSettings."""

        def given(name: str) -> str | None:
            return environ.get(PREFIX + name) or None

        return cls(
            home=Path(given("HOME") or HOME),
            host=given("HOST") or HOST,
            service_port=_port(given("SERVICE_PORT") or str(SERVICE_PORT)),
            url=given("URL"),
            token=given("TOKEN"),
            admin_token=given("ADMIN_TOKEN"),
        )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) in _PORTS):
        problem = Problem(f"{PREFIX}SERVICE_PORT", f"must be a number from {_PORTS[0]} to {_PORTS[-1]}")
        raise InvalidSettings("a setting cannot be used", problems=[problem])
    return int(text)


def is_local(url: str) -> bool:
    """Whether it is a service on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def service_url(settings: CallerSettings) -> str:
    """SLUICE_URL; else the stack that runs in this SLUICE_HOME, whatever its ports; else the usual port."""
    if settings.url is not None:
        return settings.url
    home = Home.at(settings.home)
    if home.supervisor() is not None and (state := StackState.load(home.state_file)):
        for part in state.parts:
            if part.name == "service" and part.address:
                return part.address
    return f"http://{settings.host}:{settings.service_port}"


def token_for(settings: CallerSettings, *, local: bool) -> str:
    """What proves who is calling. Raises Unauthorized."""
    for secret in (settings.token, settings.admin_token):
        if secret is not None:
            return secret
    folder = Home.at(settings.home).secrets
    # The token of this machine's stack is no business of a service elsewhere.
    token = read_admin_token(folder) if local else None
    if token is None:
        raise Unauthorized(
            f"there is no token for {service_url(settings)}",
            remedy="SLUICE_TOKEN holds it"
            + (
                f"; that of `ctl up` is kept in {folder}, which you cannot read or is not there"
                if local
                else ""
            ),
        )
    return token
