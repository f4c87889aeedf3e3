"""The schemas of health checks, which ask members or watch their answers."""

from typing import Any

from controlplane.fallback.schema.fields import HOST, METHODS


def _statuses(default: list[int]) -> dict[str, Any]:
    return {
        "type": "array",
        "minItems": 1,
        "items": {"type": "integer", "minimum": 200, "maximum": 599},
        "uniqueItems": True,
        "default": default,
    }


def _count(default: int, least: int = 1) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": 254, "default": default}


def _seconds() -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "default": 1}


ACTIVE_CHECK = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["http", "https", "tcp"], "default": "http"},
        "timeout": {"type": "number", "default": 1},
        "concurrency": {"type": "integer", "default": 10},
        "host": HOST,
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "http_method": {"type": "string", "enum": METHODS, "default": "GET"},
        "http_path": {"type": "string", "default": "/"},
        "http_req_body": {"type": "string", "default": ""},
        "https_verify_certificate": {"type": "boolean", "default": True},
        "healthy": {
            "type": "object",
            "properties": {
                "interval": _seconds(),
                "http_statuses": _statuses([200, 302]),
                "successes": _count(2),
            },
        },
        "unhealthy": {
            "type": "object",
            "properties": {
                "interval": _seconds(),
                "http_statuses": _statuses([429, 404, 500, 501, 502, 503, 504, 505]),
                "http_failures": _count(5),
                "tcp_failures": _count(2),
                "timeouts": _count(3),
            },
        },
        "req_headers": {"type": "array", "minItems": 1, "items": {"type": "string", "uniqueItems": True}},
    },
}
PASSIVE_CHECK = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["http", "https", "tcp"], "default": "http"},
        "healthy": {
            "type": "object",
            "properties": {
                "http_statuses": _statuses([*range(200, 209), 226, *range(300, 309)]),
                "successes": _count(5, 0),
            },
        },
        "unhealthy": {
            "type": "object",
            "properties": {
                "http_statuses": _statuses([429, 500, 503]),
                "tcp_failures": _count(2, 0),
                "timeouts": _count(7, 0),
                "http_failures": _count(5, 0),
            },
        },
    },
}
