"""A small HTTP server that answers as the admin service does, for what a healthy service never answers."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACTIONS = ("create", "update", "delete")


@dataclass
class StandIn:
    """Answers by `METHOD path?query`; several answers to one request are given one after the other."""

    url: str = ""
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    seen: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def says(self, request: str, *bodies: Any, status: int = 200) -> None:
        self.answers[request] = [(status, body) for body in bodies]

    def bodies(self, request: str) -> list[Any]:
        return [body for method, path, body in self.seen if f"{method} {path}" == request]

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.seen.append((method, path, body))
        answers = self.answers.get(f"{method} {path}")
        if answers is None and path.startswith("passes"):
            _, _, within_ms = path.partition("within_ms=")
            time.sleep(int(within_ms or 0) / 1000)  # no pass ever ends here
            return 200, {"mark": "r.1"}
        if answers is None:
            return 404, {"title": "Not Found", "status": 404, "detail": f"no {method} {path}"}
        return answers.pop(0) if len(answers) > 1 else answers[0]


def gateway(state: str = "converged", revision: int = 7, error: str | None = None) -> dict[str, Any]:
    status = {
        "state": state,
        "applied_revision": revision,
        "writes": 12,
        "last_pass": "2026-01-01T00:00:00Z",
        "error": error,
    }
    return {"name": "local", "enabled": True, "admin_url": "http://127.0.0.1:9180", "status": status}


def plan(*changes: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A plan as the service makes it, with these changes."""
    counts = {action: sum(change["action"] == action for change in changes) for action in ACTIONS}
    return {
        "format_version": 1,
        "source": "team",
        "revision": 6,
        "options": {"prune": False, "allow_mass_delete": False, "refresh": False},
        "summary": {**counts, "writes": 0, "drift": 0},
        "changes": [{"fields": [], "warnings": [], **change} for change in changes],
        "gateways": [],
        "enforcement": [],
        "warnings": [],
        "refusals": [],
        "protected": [],
        "document": "d1",
        "fingerprint": "f1",
        **parts,
    }


def step(action: str = "create", **parts: Any) -> dict[str, Any]:
    """A step of a plan on a gateway."""
    return {
        "action": action,
        "object": "routes/q.support",
        "kind": "routes",
        "id": "q.support",
        "declared_by": "queue support",
        "verdict": "you changed it",
        "reason": "declared",
        "fields": [],
        "drift": [],
        "warnings": [],
        "hash": "h1",
        **parts,
    }


def planned_on(*steps: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """What a plan says of the gateway."""
    return {
        "name": "local",
        "state": "converged",
        "revision": 6,
        "writes": 12,
        "looked": True,
        "trouble": None,
        "steps": list(steps),
        "collisions": [],
        **parts,
    }


def page(*items: dict[str, Any], next_cursor: str | None = None) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": next_cursor}


@contextmanager
def serving(stand_in: StandIn, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            path = self.path.removeprefix("/api/v1/")
            stand_in.tokens.append(self.headers.get("authorization"))
            status, body = stand_in.answer(self.command, path, json.loads(raw) if raw else None)
            payload = b"" if status == 204 else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    stand_in.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
