"""What gateways ask and tell of calls for external validators: `forward-auth` and `http-logger` of a rule."""

import hmac
from uuid import UUID

from litestar import HttpMethod, Response, Router, post, route
from litestar.params import FromPath

from controlplane.api.bodies import AnyRequest, read_bytes
from controlplane.api.service import Service
from controlplane.api.telling import FinishedCall, Telling, entry_of
from controlplane.api.uses import use_in
from controlplane.api.validators import PASSED, Call, Validators, Verdict
from controlplane.clock import Clock
from controlplane.core.chain import Fail
from controlplane.core.validation import LARGEST_BODY, VALIDATION_HEADER
from controlplane.errors import StoreUnavailable, Unauthorized

_RULE = "/internal/rules/{rule:uuid}"
_LARGEST_NEWS = 256 * 1024


@route(f"{_RULE}/validate", http_method=[HttpMethod.GET, HttpMethod.POST], name="validate_call")
async def validate(request: AnyRequest, rule: FromPath[UUID]) -> Response[bytes]:
    """What the external validators of a rule say of a call; below 300 it may go on."""
    service: Service = request.app.state.service
    _must_be_a_gateway(request, rule, request.headers.get(VALIDATION_HEADER, ""))
    try:
        forwarding = await service.store.forwarding(rule)
    except StoreUnavailable:
        if request.query_params.get("fail") != Fail.OPEN:
            raise
        return _reply(PASSED)
    validators: Validators = request.app.state.validators
    body = await read_bytes(request, LARGEST_BODY) if request.method == "POST" else b""
    headers = request.headers
    call = Call(
        forwarding.rule.spec.name,
        forwarding.rule.spec.tenant,
        headers.get("x-forwarded-method", ""),
        headers.get("x-forwarded-host", ""),
        headers.get("x-forwarded-uri", ""),
        headers.get("x-forwarded-for", ""),
        dict(headers.items()),
        body,
    )
    verdict = await validators.judge(forwarding.validators, call)
    return _reply(verdict)


@post(f"{_RULE}/finished", status_code=204, name="finished_call")
async def finished(request: AnyRequest, rule: FromPath[UUID]) -> None:
    """Keep when a call's key was used; tell the rule's validators of the call, after this answer."""
    service: Service = request.app.state.service
    _must_be_a_gateway(request, rule, request.headers.get("authorization", "").removeprefix("Bearer "))
    forwarding = await service.store.forwarding(rule)
    entry = entry_of(await read_bytes(request, _LARGEST_NEWS))
    clock: Clock = request.app.state.clock
    if uses := use_in(entry, clock.now()):
        await service.store.note_uses(None, uses)
    telling: Telling = request.app.state.telling
    telling.tell(forwarding.told, FinishedCall.of(forwarding.rule.spec, entry))


def _must_be_a_gateway(request: AnyRequest, rule: UUID, token: str) -> None:
    service: Service = request.app.state.service
    sent = token.encode(errors="surrogateescape")
    if not hmac.compare_digest(sent, service.store.validation_token(rule).encode()):
        raise Unauthorized("this address is for gateways", remedy="call the rule itself")


def _reply(verdict: Verdict) -> Response[bytes]:
    more = {"Retry-After": verdict.retry_after} if verdict.retry_after else {}
    return Response(verdict.body, status_code=verdict.status, media_type=verdict.content_type, headers=more)


def validation_router() -> Router:
    return Router(path="/", route_handlers=[validate, finished])
