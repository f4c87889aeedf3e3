"""The addresses that a browser signs in at, outside of /api, for scripts send tokens; and who is calling."""

import hmac
from dataclasses import dataclass, field
from typing import Any

from litestar import Response, Router, delete, get, post
from litestar.datastructures import Cookie

from controlplane.api.access import SESSION_COOKIE, Gate, author, guard, needs, principal_of
from controlplane.api.bodies import AnyRequest, read_json
from controlplane.api.queries import only
from controlplane.api.resources import PREFIX, options
from controlplane.api.service import service_of
from controlplane.api.sign_in.oidc import IdentityProvider, Pending
from controlplane.api.sign_in.throttle import Throttle
from controlplane.api.views import reply
from controlplane.core.access import Permission, Principal
from controlplane.errors import CannotUnseal, InvalidRequest, NotFound, Problem, Unauthorized
from controlplane.store.accounts import SESSION_LIFETIME, Accounts

_PENDING_COOKIE = "sluice_sign_in"
_PENDING_S = 600
_PURPOSE = "sign-in with an identity provider"


@dataclass(frozen=True, slots=True)
class SignIn:
    """What signing in needs; kept on the application's state."""

    provider: IdentityProvider | None
    secure: bool
    """Whether browsers come by https, and so must send the cookies by nothing else."""
    throttle: Throttle = field(default_factory=Throttle)

    def known_provider(self) -> IdentityProvider:
        if self.provider is None:
            raise NotFound(
                "no identity provider is set up", remedy="set SLUICE_OIDC_ISSUER and SLUICE_OIDC_CLIENT_ID"
            )
        return self.provider

    def cookie(self, name: str, value: str, seconds: int) -> Cookie:
        # Lax, for the way back from the identity provider begins at another site.
        return Cookie(
            name, path="/", value=value, max_age=seconds, httponly=True, secure=self.secure, samesite="lax"
        )

    def session_cookie(self, session: str) -> Cookie:
        return self.cookie(SESSION_COOKIE, session, int(SESSION_LIFETIME.total_seconds()))


@post("/session", name="sign_in", status_code=201)
async def with_token(request: AnyRequest) -> Response[bytes]:
    """Sign in with a token: a session, for a browser."""
    only(request, ())
    token = (await read_json(request)).get("token")
    if not isinstance(token, str):
        problem = Problem("token", "is missing", "send the token as a text")
        raise InvalidRequest("the request cannot be understood", problems=[problem])
    sign_in, accounts = _sign_in(request), service_of(request).store.accounts
    async with await sign_in.throttle.attempt(_address(request)) as attempt:
        gate: Gate = request.app.state.gate
        principal = await gate.of_token(token)
        if principal is None:
            raise Unauthorized("this token is not known", remedy="check it, or ask for another one")
        await attempt.succeeded()
    session = await accounts.open_session(principal, author(request, principal), token)
    answer = reply(_view(request, principal, session), status=201)
    answer.cookies.append(sign_in.session_cookie(session))
    return answer


@get("/oidc", name="begin_sign_in", status_code=303)
async def begin(request: AnyRequest) -> Response[bytes]:
    """Send the browser to the identity provider."""
    only(request, ())
    sign_in = _sign_in(request)
    address, pending = await sign_in.known_provider().begin()
    sealed = service_of(request).store.accounts.sealed(pending.text(), _PURPOSE)
    return _redirect(address, sign_in.cookie(_PENDING_COOKIE, sealed, _PENDING_S))


@get("/oidc/callback", name="finish_sign_in", status_code=303)
async def finish(request: AnyRequest) -> Response[bytes]:
    """The browser comes back from the identity provider."""
    sign_in, accounts = _sign_in(request), service_of(request).store.accounts
    provider = sign_in.known_provider()
    async with await sign_in.throttle.attempt(_address(request)) as attempt:
        identity = await provider.finish(*_brought_back(request, accounts))
        principal = await accounts.of_identity(identity.issuer, identity.subject, identity.email)
        if principal is None:
            raise Unauthorized(
                "you have signed in, but there is no account for you",
                remedy="ask an administrator for one that has your e-mail address",
            )
        await attempt.succeeded()
    session = await accounts.open_session(principal, author(request, principal), None)
    return _redirect("/", sign_in.session_cookie(session), sign_in.cookie(_PENDING_COOKIE, "", 0))


@get("/whoami", name="whoami", guards=[guard], opt=needs(Permission.SELF))
async def whoami(request: AnyRequest) -> Response[bytes]:
    """Who is calling, and what a page has to send with every change."""
    only(request, ())
    return reply(_view(request, principal_of(request), request.cookies.get(SESSION_COOKIE)))


@delete("/session", name="sign_out", status_code=204, guards=[guard], opt=needs(Permission.SELF))
async def sign_out(request: AnyRequest) -> Response[None]:
    """Sign out."""
    only(request, ())
    if session := request.cookies.get(SESSION_COOKIE):
        await service_of(request).store.accounts.close_session(session)
    return Response(None, status_code=204, cookies=[_sign_in(request).cookie(SESSION_COOKIE, "", 0)])


def sign_in_router() -> Router:
    """Where browsers sign in, which is open to everybody; and where they ask who they are, and leave."""
    browsers = [options("/session", "POST, DELETE, OPTIONS"), with_token, sign_out, begin, finish]
    handlers = [Router(path="/auth", route_handlers=browsers), Router(path=PREFIX, route_handlers=[whoami])]
    return Router(path="/", route_handlers=handlers)


def _sign_in(request: AnyRequest) -> SignIn:
    found: SignIn = request.app.state.sign_in
    return found


def _brought_back(request: AnyRequest, accounts: Accounts) -> tuple[str, Pending]:
    """The provider's code, and the sign-in that this browser began."""
    sealed, query = request.cookies.get(_PENDING_COOKIE), request.query_params
    if not sealed or "code" not in query:
        raise Unauthorized("this sign-in was not begun here, or was refused", remedy="sign in again")
    try:
        pending = Pending.of_text(accounts.opened(sealed, _PURPOSE))
    except CannotUnseal:
        raise Unauthorized("this sign-in was not begun here", remedy="sign in again") from None
    if not hmac.compare_digest(str(query.get("state", "")).encode(), pending.state.encode()):
        raise Unauthorized("this sign-in was begun elsewhere", remedy="sign in again")
    return str(query["code"]), pending


def _redirect(address: str, *cookies: Cookie) -> Response[bytes]:
    headers = {"Location": address, "Cache-Control": "no-store"}
    return Response(b"", status_code=303, headers=headers, cookies=list(cookies))


def _address(request: AnyRequest) -> str:
    return request.client.host if request.client else ""


def _view(request: AnyRequest, principal: Principal, session: str | None) -> dict[str, Any]:  # Any: JSON
    csrf = service_of(request).store.accounts.csrf_token(session) if session else None
    return {
        "name": principal.name,
        "role": principal.role.value,
        "tenant": principal.reach.tenant if principal.reach else None,
        "permissions": [permission.value for permission in Permission if principal.may(permission)],
        "csrf_token": csrf,
    }
