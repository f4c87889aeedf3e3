"""The one place that turns errors into HTTP: problem+json as RFC 9457 has it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from litestar import Response
from litestar.exceptions import HTTPException

from controlplane import errors
from controlplane.api.bodies import AnyRequest
from controlplane.logs import where

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER = {"Retry-After": "1"}

STATUSES: Mapping[type[errors.SluiceError], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.InvalidSpec: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.CannotUnseal: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

log = structlog.get_logger(__name__)


def on_sluice_error(request: AnyRequest, error: errors.SluiceError) -> Response[bytes]:
    """An error of ours."""
    status = next(
        (STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    headers: dict[str, str] = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": 'Bearer realm="sluice"'}
    elif status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers = _RETRY_AFTER
    elif isinstance(error, errors.TooManyAttempts):
        headers = {"Retry-After": str(error.retry_after_s)}
    found = [{"field": item.field, "message": item.message, "remedy": item.remedy} for item in error.problems]
    return _problem(status, error.message, remedy=error.remedy, found=found, headers=headers)


def on_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """An error of the framework: no such path, no such method, and the like."""
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return _problem(HTTPStatus(error.status_code), HTTPStatus(error.status_code).description, headers=headers)


def on_any_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    """A fault of ours. What went wrong is in the log, by the request's id, and not in the reply."""
    log.error("unexpected_error", error=type(error).__name__, where=where(error))
    return _problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "something went wrong in the service",
        remedy="look into the service's log for this X-Request-Id",
    )


def _problem(
    status: HTTPStatus,
    detail: str,
    *,
    remedy: str | None = None,
    found: list[dict[str, Any]] | None = None,  # Any: texts or null
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "remedy": remedy,
        "errors": found or [],
    }
    return Response(
        orjson.dumps(body), status_code=status.value, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )
