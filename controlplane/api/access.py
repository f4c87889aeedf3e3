"""Who is calling, and whether they may: tokens, sessions, and the permission that each handler names."""

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from controlplane.api.bodies import AnyRequest
from controlplane.core.access import Permission, Principal
from controlplane.core.refused_targets import USUAL_TARGETS, RefusedTargets
from controlplane.errors import Forbidden, Unauthorized
from controlplane.store.accounts import THE_ADMINISTRATOR, Accounts
from controlplane.store.records import Author

SESSION_COOKIE = "sluice_session"
CSRF_HEADER = "x-csrf-token"
_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
_NEEDS = "permission"


def needs(permission: Permission) -> Mapping[str, Permission]:
    """What a handler's `opt` says about who may call it."""
    return {_NEEDS: permission}


def needed(handler: BaseRouteHandler) -> Permission | None:
    """The permission that a handler names."""
    found: Permission | None = handler.opt.get(_NEEDS)
    return found


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Stands before every handler that is not open to everybody."""
    gate: Gate = connection.app.state.gate
    await gate.admit(connection, handler)


class Gate:
    """Lets in whoever proves who they are and may do what the handler does. Kept on the app's state."""

    def __init__(self, admin_token: str, accounts: Accounts, refused: RefusedTargets = USUAL_TARGETS) -> None:
        self._admin_token = admin_token
        self._accounts = accounts
        self._refused = refused

    async def admit(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Note who is calling. Raises Unauthorized and Forbidden."""
        principal = await self._principal(connection)
        permission = needed(handler)
        if permission is None or not principal.may(permission):
            raise _forbidden(principal, permission)
        if principal.reach is not None:
            principal = replace(principal, reach=replace(principal.reach, refused=self._refused))
        connection.state.principal = principal

    async def of_token(self, token: str) -> Principal | None:
        """Whom a token stands for."""
        if hmac.compare_digest(token.encode(errors="surrogateescape"), self._admin_token.encode()):
            return THE_ADMINISTRATOR
        return await self._accounts.of_token(token) if token.isascii() and len(token) < 200 else None

    async def of_session(self, session: str) -> Principal | None:
        """Whose session a cookie is."""
        if not session.isascii() or len(session) > 200:
            return None
        return await self._accounts.of_session(session, self._admin_token)

    async def _principal(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        session = connection.cookies.get(SESSION_COOKIE)
        principal = None
        if scheme.lower() == "bearer":
            principal = await self.of_token(token.strip())
        elif session and not scheme:
            principal = await self.of_session(session)
            if principal and _method(connection) not in _CHANGES_NOTHING:
                self._must_come_from_our_page(connection, session)
        if principal is None:
            raise Unauthorized(
                "this needs a token that the service knows",
                remedy="send `Authorization: Bearer TOKEN`; `ctl up` keeps the token in .sluice/secrets",
            )
        return principal

    def _must_come_from_our_page(self, connection: ASGIConnection[Any, Any, Any, Any], session: str) -> None:
        """A browser sends the cookie with what other sites make it send, but not this header."""
        sent = connection.headers.get(CSRF_HEADER, "").encode(errors="surrogateescape")
        if not hmac.compare_digest(sent, self._accounts.csrf_token(session).encode()):
            raise Forbidden(
                f"a change from a browser needs the header {CSRF_HEADER}",
                remedy="send `csrf_token` of GET /api/v1/whoami",
            )


def _method(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    return str(connection.scope.get("method", ""))


def _forbidden(principal: Principal, permission: Permission | None) -> Forbidden:
    return Forbidden(
        f"{principal.name} may not do this: it needs the permission {permission}",
        remedy="ask an administrator; docs/access.md says which role may do what",
    )


def principal_of(request: AnyRequest) -> Principal:
    """Who is calling; the gate has let them in."""
    found: Principal = request.state.principal
    return found


def must(request: AnyRequest, permission: Permission) -> None:
    """Raises Forbidden for somebody who may not do what the request turns out to do."""
    if not principal_of(request).may(permission):
        raise _forbidden(principal_of(request), permission)


def author_of(request: AnyRequest, *, source: str = "default", message: str = "") -> Author:
    """Who writes, for the revision and the audit."""
    return author(request, principal_of(request), source=source, message=message)


def author(
    request: AnyRequest, principal: Principal, *, source: str = "default", message: str = ""
) -> Author:
    """Somebody who writes from where this request comes from."""
    address = request.client.host if request.client else ""
    return Author(principal.name, address, request.scope["state"].get("request_id", ""), message, source)
