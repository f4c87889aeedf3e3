"""Logs as JSON lines on stderr. Bodies, headers and query strings never get there."""

import logging
import secrets
import sys
import time
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_LEVELS = logging.getLevelNamesMapping()
_LONGEST_ID = 64

log = structlog.get_logger(__name__)


def configure_logging(level: str) -> None:
    """Once, where a process begins."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def request_log(app: ASGIApp) -> ASGIApp:
    """Gives every request an id, returns it, and writes one line when the reply is out."""

    async def with_log(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await app(scope, receive, send_with_id)
            finally:
                _write_line(scope, status, started)

    return with_log


def _write_line(scope: Any, status: int, started: float) -> None:  # Any: an ASGI scope
    log.info(
        "request",
        method=scope["method"],
        path=scope.get("path_template") or "(no such path)",
        status=status,
        ms=round((time.monotonic() - started) * 1000, 1),
    )


def _request_id(scope: Any) -> str:  # Any: an ASGI scope
    """The client's, as far as it is harmless; one of our own otherwise."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            if 0 < len(text) <= _LONGEST_ID and all(char.isalnum() or char in "-_." for char in text):
                return str(text)
    return secrets.token_hex(12)
