"""Where the admin service is that `ctl` talks to, and what lets it in there."""

from urllib.parse import urlsplit

from controlplane.embedded.home import Home
from controlplane.embedded.state import StackState
from controlplane.embedded.token_file import read_admin_token
from controlplane.errors import Unauthorized
from controlplane.settings import Settings

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_local(url: str) -> bool:
    """Whether it is a service on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def service_url(settings: Settings) -> str:
    """SLUICE_URL; else the stack that runs in this SLUICE_HOME, whatever its ports; else the usual port."""
    home = Home.at(settings.home)
    if settings.url is None and home.supervisor() is not None and (state := StackState.load(home.state_file)):
        for part in state.parts:
            if part.name == "service" and part.address:
                return part.address
    return settings.service_url


def token_for(settings: Settings, *, local: bool) -> str:
    """What proves who is calling. Raises Unauthorized."""
    for secret in (settings.token, settings.admin_token):
        if secret is not None:
            return secret.get_secret_value()
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
