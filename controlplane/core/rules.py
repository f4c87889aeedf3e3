"""Forwarding rules: an HTTP API behind the gateway, whatever it is.

Paths and targets keep to characters that mean the same in every URL, pattern and router, so that no
gateway understands a rule otherwise than it was written.
"""

import ipaddress
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from controlplane.core.chain import Plugins
from controlplane.core.checked import Checked, check
from controlplane.core.declared import Declared, Endpoint, Labels, Limits, needs_keys, own_name, unique
from controlplane.core.text import CREDENTIAL_HEADERS, HeaderName, Name, SecretText
from controlplane.core.wrong_field import WrongField

_SEGMENT = r"[A-Za-z0-9._~@+-]+"
PATH_PATTERN = rf"^/(?:{_SEGMENT}(?:/{_SEGMENT})*)?$"
HOST_PATTERN = r"^(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,62})(?:\.[a-z0-9](?:[a-z0-9-]{0,62}))*$"
_TARGET_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
_NUMBERS = re.compile(r"(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]*))*\.?")
_OWN_PATHS = ("/queues", "/apisix")
"""What the addresses of queues and the gateway's own begin with."""
_NEVER_SET = ("host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer")


class Match(StrEnum):
    """Which addresses a rule answers."""

    EXACT = "exact"
    PREFIX = "prefix"


class RuleAccess(StrEnum):
    """Who may call a rule."""

    KEYS = "keys"
    TENANT = "tenant"
    OPEN = "open"


class Method(StrEnum):
    """The methods of HTTP that a gateway forwards."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


def _path(value: str) -> str:
    if any(part in (".", "..") for part in value.split("/")):
        raise ValueError("must not have . or .. between its slashes; write the path out")
    return value


def _own_path(value: str) -> str:
    for own in _OWN_PATHS:
        if value == own or value.startswith(own + "/"):
            raise ValueError(f"{own} is where queues and the gateway itself answer; choose another path")
    return value


def _target(value: str) -> str:
    parts = urlsplit(value)
    host = parts.hostname or ""
    if parts.query:
        raise ValueError("must not have a query; the caller's own is passed on")
    if not re.fullmatch(PATH_PATTERN, parts.path.rstrip("/") or "/"):
        raise ValueError(
            "has a path with characters that a target cannot have; use letters, digits and ._~@+-"
        )
    _path(parts.path)
    if ":" not in host and not _TARGET_HOST.fullmatch(host):
        raise ValueError("names a host with characters that no host has; correct it")
    if _NUMBERS.fullmatch(host) and not _is_address(host):
        raise ValueError("writes an address in an unusual way; write it as four numbers such as 192.0.2.7")
    return value


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _header_value(value: str) -> str:
    if "$" in value:
        raise ValueError("must not have a $, which a gateway takes for a variable; remove it")
    return value


Path = Annotated[
    str,
    StringConstraints(pattern=PATH_PATTERN, max_length=1024),
    AfterValidator(_path),
    AfterValidator(_own_path),
    Field(examples=["/weather"]),
]
Host = Annotated[
    str, StringConstraints(pattern=HOST_PATTERN, max_length=253), Field(examples=["api.example.com"])
]
Target = Annotated[Endpoint, AfterValidator(_target), Field(examples=["https://weather.example/v2"])]
HeaderValue = Annotated[
    str, StringConstraints(pattern=r"^[ -~]*[!-~]$", max_length=4096), AfterValidator(_header_value)
]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False, strict=True)]


class Timeouts(Declared):
    """How long a target may take, in seconds."""

    connect_s: Seconds = 10
    send_s: Seconds = 60
    """Between two pieces of the request."""
    read_s: Seconds = 60
    """Until the answer begins, and between two pieces of it."""


class HeaderChanges(Declared, Checked):
    """What becomes of headers on their way."""

    set: Annotated[dict[HeaderName, HeaderValue], Field(max_length=32)] = Field(default_factory=dict)
    remove: Annotated[tuple[HeaderName, ...], Field(max_length=32)] = ()

    @check
    def _set(self) -> Iterator[WrongField]:
        return (_of_the_connection(name, f"set.{name}") for name in self.set if name in _NEVER_SET)

    @check
    def _remove(self) -> Iterator[WrongField]:
        for index, name in enumerate(self.remove):
            if name in _NEVER_SET:
                yield _of_the_connection(name, f"remove[{index}]")

    @check
    def _set_or_removed(self) -> Iterator[WrongField]:
        for index, name in enumerate(self.remove):
            if name in self.set:
                yield WrongField(f"remove[{index}]", f"{name} is set and removed; keep one of the two")


def _of_the_connection(name: str, field: str) -> WrongField:
    return WrongField(field, f"{name} belongs to the connection, which the gateway looks after; remove it")


class RuleSpec(Declared, Checked):
    """Where calls of an HTTP API go, who may make them, and what they must look like."""

    name: Name
    tenant: Name | None = None
    """Whose rule it is; it is served under the tenant's subdomain."""
    path: Path
    match: Match = Match.PREFIX
    """`prefix`: the path and everything below it; `exact`: the path alone."""
    hosts: Annotated[tuple[Host, ...], Field(max_length=16)] = ()
    """The hosts that it answers for; without them those of its tenant, or every host."""
    methods: Annotated[tuple[Method, ...], Field(max_length=7)] = ()
    """The methods that it takes; all of them without one."""
    target: Target
    """Where calls are sent: scheme and host, with a path that is put in front."""
    strip_path: StrictBool = False
    """The rule's own path is left out of what the target is asked for."""
    preserve_host: StrictBool = False
    """The target sees the host that was called, and not its own."""
    timeouts: Timeouts = Timeouts()
    retries: Annotated[int, Field(ge=0, le=5, strict=True)] = 0
    """How often a call that could not be delivered is tried again."""
    headers: HeaderChanges = HeaderChanges()
    """Of the request, as the target sees it."""
    response_headers: HeaderChanges = HeaderChanges()
    """Of the answer, as the caller sees it."""
    api_key: SecretText | None = None
    """What the target wants to see, such as `Bearer …`."""
    api_key_header: HeaderName = "authorization"
    """The header that carries it."""
    access: RuleAccess = RuleAccess.KEYS
    """`keys`: only keys that list this rule; `tenant`: every key of its tenant; `open`: anybody."""
    limits: Limits = ()
    plugins: Plugins = ()
    """What looks at a call and its answer, after the plugins that the tenant requires."""
    enabled: StrictBool = True
    """False answers 404 where the rule was."""
    labels: Labels = Field(default_factory=dict)
    protect: StrictBool = False

    @check
    def _names(self) -> Iterator[WrongField]:
        return own_name(self.name)

    @check
    def _hosts(self) -> Iterator[WrongField]:
        return unique(self.hosts, "the host", at="hosts")

    @check
    def _methods(self) -> Iterator[WrongField]:
        return unique(self.methods, "the method", at="methods")

    @check
    def _whose(self) -> Iterator[WrongField]:
        if self.access is RuleAccess.TENANT and self.tenant is None:
            yield WrongField("tenant", "`access: tenant` needs a `tenant`; name one, or use `access: keys`")

    @check
    def _credentials(self) -> Iterator[WrongField]:
        for name in self.headers.set:
            if name in CREDENTIAL_HEADERS:
                message = f"{name} would be kept in plain text; put it into `api_key`, which is sealed"
                yield WrongField(f"headers.set.{name}", message)

    @check
    def _key_header(self) -> Iterator[WrongField]:
        name = self.api_key_header
        if self.api_key and name in self.headers.set and name not in CREDENTIAL_HEADERS:
            message = f"{name} is what `api_key` is sent in; remove it from `headers`"
            yield WrongField(f"headers.set.{name}", message)

    @check
    def _limits_of_keys(self) -> Iterator[WrongField]:
        return needs_keys(self.limits, "rule") if self.access is RuleAccess.OPEN else iter(())

    @property
    def address(self) -> SplitResult:
        """The target, taken apart."""
        return urlsplit(self.target)

    @property
    def target_path(self) -> str:
        """The target's own path, without a slash at its end."""
        return self.address.path.rstrip("/")
