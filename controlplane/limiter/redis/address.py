"""Where a Redis is: one server, one of several, a cluster's nodes, or whatever its sentinels name."""

import ssl
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from controlplane.errors import InvalidSettings

_FORMS = (
    "write redis://[user:password@]host:port/number, rediss:// for TLS, unix:///path?db=number, "
    "or redis+sentinel://host:port,host:port/number?master=name"
)


@dataclass(frozen=True, slots=True)
class Address:
    """One place to connect to: a host and a port, or the path of a socket."""

    host: str
    port: int = 6379

    @property
    def is_socket(self) -> bool:
        return self.host.startswith("/")

    def __str__(self) -> str:
        return self.host if self.is_socket else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A Redis URL. Several addresses, separated by commas, are tried in turn."""

    addresses: tuple[Address, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    master: str | None = None
    """For sentinels: the name of the master to ask them for."""
    tls: ssl.SSLContext | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "RedisUrl":
        """Raises InvalidSettings for what is no such URL; the password is in no message."""
        parts = urlsplit(url)
        query = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
        credentials, _, hosts = parts.netloc.rpartition("@")
        username, _, password = credentials.partition(":")
        try:
            parsed = cls(
                addresses=tuple(_address(host) for host in hosts.split(",")) if hosts else (),
                username=unquote(username) or None,
                password=unquote(password) or None,
                database=int(query.get("db") or parts.path.strip("/") or 0) if parts.scheme != "unix" else 0,
            )
        except ValueError:
            raise InvalidSettings("this is no Redis URL", remedy=_FORMS) from None
        if parts.scheme == "unix" and parts.path:
            return replace(
                parsed, addresses=(Address(unquote(parts.path)),), database=int(query.get("db", 0))
            )
        if parts.scheme == "rediss" and parsed.addresses:
            return replace(parsed, tls=ssl.create_default_context())
        if parts.scheme == "redis+sentinel" and parsed.addresses and query.get("master"):
            return replace(parsed, master=query["master"])
        if parts.scheme == "redis" and parsed.addresses:
            return parsed
        raise InvalidSettings("this is no Redis URL", remedy=_FORMS)


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        return Address(text.strip("[]"))
    return Address(host.strip("[]"), int(port))
