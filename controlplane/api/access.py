"""Who is calling: bearer tokens, compared in constant time."""

import hmac
from dataclasses import dataclass
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from controlplane.api.bodies import AnyRequest
from controlplane.errors import Unauthorized
from controlplane.store.records import Author

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody that a token stands for."""

    name: str
    role: str


class TokenGuard:
    """Lets in whoever sends the administrator's token."""

    def __init__(self, admin_token: str) -> None:
        self._admin_token = admin_token.encode()

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        sent = token.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(sent, self._admin_token):
            raise Unauthorized(
                "this needs a token that the service knows",
                remedy="send `Authorization: Bearer TOKEN`; `ctl up` keeps the token in .sluice/secrets",
            )
        connection.state.principal = Principal("admin", ADMIN)


def author_of(request: AnyRequest, *, source: str = "default", message: str = "") -> Author:
    """Who writes, for the revision and the audit."""
    principal: Principal = request.state.principal
    address = request.client.host if request.client else ""
    return Author(principal.name, address, request.scope["state"].get("request_id", ""), message, source)
