"""The variables of a request, by the names that nginx and APISIX give them.

`variable(name)` compiles a name once into a function of the context. The value is a text, a number, a list,
or None where the variable has no value for this request.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from socket import gethostname
from typing import Any
from urllib.parse import parse_qs

from controlplane.fallback.runtime.context import Context

Getter = Callable[[Context], Any]

_FORM = "application/x-www-form-urlencoded"

# What APISIX sets before anything has happened.
_DEFAULTS: dict[str, Any] = {
    "request_type": "traditional_http",
    "request_llm_model": "",
    "llm_model": "",
    "llm_time_to_first_token": "0",
    "llm_prompt_tokens": "0",
    "llm_completion_tokens": "0",
    "llm_total_tokens": "0",
    "llm_stream": "false",
    "llm_has_tool_calls": "false",
    "llm_tool_count": "0",
    "llm_end_user_id": "",
    "llm_content_risk_level": "",
    "llm_cache_read_input_tokens": "0",
    "llm_cache_creation_input_tokens": "0",
    "llm_reasoning_tokens": "0",
    "upstream_scheme": "http",
}


@lru_cache(maxsize=4096)
def variable(name: str) -> Getter:
    """How to read a variable; one that nobody knows never has a value unless a plugin sets it."""
    known = _KNOWN.get(name)
    if known is not None:
        return known
    for prefix, make in _PREFIXES:
        if name.startswith(prefix):
            return make(name[len(prefix) :])
    default = _DEFAULTS.get(name)
    return lambda context: context.values.get(name, default)


def header_of(name: str) -> str | None:
    """The request header that a variable is read from, with dashes, or None where it is no header."""
    return _dashed(name.removeprefix("http_")) if name.startswith("http_") else None


def _header(name: str) -> Getter:
    dashed = _dashed(name)
    plain = dashed.replace("-", "_")
    return lambda context: context.headers.variable(plain, dashed)


def _dashed(name: str) -> str:
    return name.lower().replace("_", "-")


def _sent_header(name: str) -> Getter:
    wanted = _dashed(name)
    return lambda context: context.response_headers.first(wanted)


def _argument(name: str) -> Getter:
    def get(context: Context) -> str | None:
        value = context.arguments.get(name)
        return value[0] if isinstance(value, list) else value

    return get


def _cookie(name: str) -> Getter:
    def get(context: Context) -> str | None:
        text = context.headers.get("cookie")
        if not text:
            return None
        try:
            morsel = SimpleCookie(text).get(name)
        except CookieError:
            return None
        return morsel.value if morsel else None

    return get


def _form_field(name: str) -> Getter:
    def get(context: Context) -> str | None:
        if not context.body or not (context.headers.get("content-type") or "").startswith(_FORM):
            return None
        values = parse_qs(context.body.decode("utf-8", "replace"), keep_blank_values=True).get(name)
        return values[0] if values else None

    return get


def _body_field(path: str) -> Getter:
    """A field of a JSON body, by a dotted path."""
    parts = path.split(".")

    def get(context: Context) -> Any:
        value = context.json_or_none()
        for part in parts:
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        return value

    return get


def _nothing(_: str) -> Getter:
    return lambda context: None


_PREFIXES: tuple[tuple[str, Callable[[str], Getter]], ...] = (
    ("http_", _header),
    ("sent_http_", _sent_header),
    ("arg_", _argument),
    ("cookie_", _cookie),
    ("post_arg.", _body_field),
    ("post_arg_", _form_field),
    ("uri_param_", _nothing),
)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _upstream_status(context: Context) -> str | None:
    return ", ".join(context.upstream_statuses) or None


def _upstream_addr(context: Context) -> str | None:
    return ", ".join(context.upstream_addresses) or None


def _rate_limiting_info(context: Context) -> str:
    if context.limiting is None:
        return ""
    key, limit, remaining, reset = context.limiting
    return (
        f'{{"rate_limiting_key":"{key}","rate_limiting_limit":{limit},'
        f'"rate_limiting_remaining":{remaining},"rate_limiting_reset":{reset}}}'
    )


def _of_plan(name: str) -> Getter:
    return lambda context: getattr(context.plan, name, None)


def _of_consumer(name: str) -> Getter:
    return lambda context: getattr(context.consumer, name, None)


def _member(context: Context) -> str | None:
    return context.call.member if context.call is not None else context.values.get("balancer_ip")


_KNOWN: dict[str, Getter] = {
    "uri": lambda context: context.address.path,
    "document_uri": lambda context: context.address.path,
    "request_uri": lambda context: context.address.full,
    "real_request_uri": lambda context: context.address.raw,
    "args": lambda context: context.query or None,
    "query_string": lambda context: context.query or None,
    "is_args": lambda context: "?" if context.query else "",
    "host": lambda context: context.host,
    "hostname": lambda context: gethostname(),
    "server_name": lambda context: "_",
    "method": lambda context: context.method,
    "request_method": lambda context: context.method,
    "scheme": lambda context: "http",
    "server_protocol": lambda context: f"HTTP/{context.exchange.http_version}",
    "server_port": lambda context: str(context.exchange.port),
    "remote_addr": lambda context: context.client_ip,
    "realip_remote_addr": lambda context: context.exchange.peer[0],
    "remote_port": lambda context: str(context.exchange.peer[1]),
    "content_type": lambda context: context.headers.get("content-type"),
    "content_length": lambda context: context.headers.get("content-length"),
    "request_body": lambda context: context.body.decode("utf-8", "replace") if context.body else None,
    "request_time": lambda context: round(context.elapsed, 3),
    "request_length": lambda context: context.request_bytes,
    "msec": lambda context: f"{context.clock.now():.3f}",
    "time_iso8601": lambda context: _iso(context.clock.now()),
    "status": lambda context: context.status or None,
    "bytes_sent": lambda context: context.answer_bytes,
    "body_bytes_sent": lambda context: str(context.bytes_sent),
    "upstream_status": _upstream_status,
    "upstream_addr": _upstream_addr,
    "upstream_response_time": lambda context: context.values.get("upstream_response_time"),
    "rate_limiting_info": _rate_limiting_info,
    "upstream_uri": lambda context: context.upstream_uri,
    "route_id": _of_plan("route_id"),
    "route_name": _of_plan("route_name"),
    "service_id": _of_plan("service_id"),
    "service_name": _of_plan("service_name"),
    "consumer_name": _of_consumer("username"),
    "consumer_group_id": _of_consumer("group_id"),
    "balancer_ip": _member,
    "request_id": lambda context: context.request_id,
    "apisix_request_id": lambda context: context.request_id,
}
