"""Logs as JSON lines on stderr. Bodies, headers and query strings never get there."""

import logging
import re
import secrets
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.types import Processor

_LEVELS = logging.getLevelNamesMapping()
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

log = structlog.get_logger(__name__)


def configure_logging(level: str) -> None:
    """Once, where a process begins."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def where(error: BaseException) -> list[str]:
    """Where an error arose, the innermost place last. Its text is left out: it may repeat what was sent."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


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
    path = scope.get("path_template") or "(no such path)"
    # Probes come every few seconds; one that is answered well is not worth a line each.
    write = log.debug if path.startswith("/health/") and status == 200 else log.info
    write(
        "request",
        method=scope["method"],
        path=path,
        status=status,
        ms=round((time.monotonic() - started) * 1000, 1),
    )


def _request_id(scope: Any) -> str:  # Any: an ASGI scope
    """The client's, as far as it is harmless; one of our own otherwise."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = str(value, "latin-1")
            if _REQUEST_ID.fullmatch(text):
                return text
    return secrets.token_hex(12)
