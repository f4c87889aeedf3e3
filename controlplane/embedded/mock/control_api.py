"""The control API of the mock, under /_mock/.

GET    /_mock/health        is it up
GET    /_mock/requests      what was seen, and the counters; DELETE forgets both
GET    /_mock/counters      the counters alone
GET    /_mock/disconnects   clients that left early, and what had been produced for them
GET    /_mock/defaults      how requests are answered; DELETE clears;
                            POST {"prefix": "/main", "status": 500, "times": 3} adds
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from controlplane.errors import InvalidSpec

if TYPE_CHECKING:
    from controlplane.embedded.mock.provider import MockProvider

PREFIX = "/_mock/"


def handle(mock: "MockProvider", method: str, path: str, body: bytes) -> tuple[int, Any]:
    """Answer one control request: a status and a JSON value."""
    match method, path.removeprefix(PREFIX):
        case "GET", "health":
            return 200, {"status": "ok"}
        case "GET", "requests":
            requests = [seen.as_json() for seen in mock.requests]
            return 200, {"requests": requests, "counters": mock.counters.as_json()}
        case "DELETE", "requests":
            mock.forget()
            return 200, {"requests": [], "counters": mock.counters.as_json()}
        case "GET", "counters":
            return 200, mock.counters.as_json()
        case "GET", "disconnects":
            return 200, {"disconnects": [asdict(disconnect) for disconnect in mock.disconnects]}
        case "POST", "defaults":
            return _add_defaults(mock, body)
        case "DELETE", "defaults":
            mock.clear_defaults()
            return 200, {"defaults": []}
        case "GET", "defaults":
            return 200, {"defaults": [asdict(defaults) for defaults in mock.defaults]}
        case _:
            return 404, {"error": {"message": f"no control {method} {path}", "type": "mock_error"}}


def _add_defaults(mock: "MockProvider", body: bytes) -> tuple[int, Any]:
    try:
        values = orjson.loads(body)
        mock.set_defaults(**values)
    except (orjson.JSONDecodeError, TypeError, InvalidSpec) as error:
        return 400, {"error": {"message": str(error), "type": "mock_error"}}
    return 200, {"defaults": [asdict(defaults) for defaults in mock.defaults]}
