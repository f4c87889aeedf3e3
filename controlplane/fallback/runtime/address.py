"""The address of a request: path, query and host, normalized as nginx does."""

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from controlplane.fallback.http.headers import Headers

# Who connects from this machine is a proxy in front of us and may say for whom it does.
_TRUSTED_PEER = "127.0.0.1"
_BROKEN_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_SLASHES = re.compile(r"/{2,}")


class InvalidAddress(ValueError):
    """The request target cannot be a path."""


class Address(NamedTuple):
    """`path` is decoded and normalized, `raw` is what the client sent, `query` has no question mark."""

    raw: str
    path: str
    query: str

    @property
    def full(self) -> str:
        """The normalized path with the query."""
        return f"{self.path}?{self.query}" if self.query else self.path


@lru_cache(maxsize=512)
def parse(target: str) -> Address:
    """Split and normalize a request target; InvalidAddress if it climbs out of the root or is no path."""
    if not target.startswith("/"):
        target = _from_absolute(target)
    raw_path, mark, query = target.partition("?")
    query = query.partition("#")[0] if mark else ""
    path = raw_path.partition("#")[0]
    if "%" in path:
        if _BROKEN_ESCAPE.search(path):
            raise InvalidAddress(target)
        path = unquote_to_bytes(path).decode("utf-8", "surrogateescape")
        if "\x00" in path:
            raise InvalidAddress(target)
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if "/." in path:
        path = _without_dots(path)
    return Address(target, path, query)


def query_arguments(query: str) -> dict[str, str | list[str]]:
    """The arguments of a query; one that is repeated is a list."""
    arguments: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=1000):
        present = arguments.get(name)
        if present is None:
            arguments[name] = value
        elif isinstance(present, list):
            present.append(value)
        else:
            arguments[name] = [present, value]
    return arguments


def query_text(arguments: dict[str, str | list[str]]) -> str:
    return urlencode(arguments, doseq=True)


@lru_cache(maxsize=512)
def host_name(host_header: str) -> str:
    """The host without its port, in lower case."""
    host = host_header.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def client_address(peer: str, headers: Headers) -> str:
    """The address of the client: the peer's, or what a proxy on this machine says in X-Real-IP."""
    if peer != _TRUSTED_PEER or "x-real-ip" not in headers:
        return peer
    told = (headers.variable("x_real_ip", "x-real-ip") or "").rpartition(",")[2].strip()
    if told.startswith("["):
        told = told[1:].partition("]")[0]
    elif told.count(":") == 1:
        told = told.partition(":")[0]
    try:
        return str(ipaddress.ip_address(told))
    except ValueError:
        return peer


def _from_absolute(target: str) -> str:
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        raise InvalidAddress(target)
    _, slash, path = rest.partition("/")
    return "/" + path if slash else "/"


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment == "..":
            if not kept:
                raise InvalidAddress(path)
            kept.pop()
        elif segment != ".":
            kept.append(segment)
            continue
        if last:
            kept.append("")
    return "/" + "/".join(kept)
