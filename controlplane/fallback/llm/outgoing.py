"""The request to a provider: its body shaped for the protocol, its head with the member's secrets."""

import copy
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from controlplane.fallback.http.headers import Value
from controlplane.fallback.llm.members import Member
from controlplane.fallback.llm.protocols import Json, LlmProtocol
from controlplane.fallback.llm.providers import OUTPUT_FIELDS
from controlplane.fallback.runtime.address import query_text
from controlplane.fallback.runtime.context import Context

HeaderChange = Callable[[dict[str, Any]], None]

# What belongs to the client's connection, or is said anew for ours.
_NOT_FORWARDED = frozenset(
    [
        "host",
        "content-length",
        "content-type",
        "accept-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "http2-settings",
    ]
)


def shape_body(
    body: Json, member: Member, protocol: LlmProtocol, cap: int | None = None
) -> tuple[Json, bool]:
    """The body for a member, and whether it differs from the one that was given, which stays as it is.

    No answer to it is longer than `cap` tokens.
    """
    shaped: Json = copy.deepcopy(body) if protocol.name in member.patches else dict(body)
    changed = protocol.prepare(shaped)
    if member.options:
        shaped.update(member.options)
        changed = True
    capability = member.provider.capabilities.get(protocol.name)
    if member.cap and capability is not None and capability.cap_output(shaped, member.cap):
        changed = True
    if cap is not None and capability is not None and capability.cap_field is not None:
        changed = _cap(shaped, capability.cap_field, cap) or changed
    if protocol.name in member.patches:
        _merge(shaped, member.patches[protocol.name], force=member.patches_win)
        changed = True
    if member.provider.drops_model and "model" in shaped:
        del shaped["model"]
        changed = True
    return shaped, changed


def _cap(body: Json, field: str, most: int) -> bool:
    """Let no answer be longer than that; True if the body was changed. A smaller cap stays."""
    changed = False
    present = [name for name in OUTPUT_FIELDS if name in body]
    for name in present or [field]:
        value = body.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            body[name] = most
            changed = True
    return changed


def request_bytes(
    context: Context,
    member: Member,
    path: str,
    body: bytes,
    *,
    transparent: bool,
    change_headers: HeaderChange | None,
    token: str | None = None,
) -> bytes:
    """The whole request. A transparent one keeps the client's method and query. `token` is the member's."""
    headers: dict[str, Value] = {
        name: value for name, value in context.headers.items() if name not in _NOT_FORWARDED
    }
    headers.update(member.auth_headers)
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    if change_headers is not None:
        change_headers(headers)
    arguments = {**member.auth_query, **member.query}
    if transparent and context.query:
        arguments = {**arguments, **context.arguments, **member.auth_query}
    target = _quoted(path) + (f"?{query_text(arguments)}" if arguments else "")
    method = context.method if transparent else "POST"
    lines = [
        f"{method} {target} HTTP/1.1\r\nhost: {member.host_header}\r\ncontent-type: application/json\r\n"
    ]
    lines += [
        f"{name}: {value}\r\n" if type(value) is str else "".join(f"{name}: {one}\r\n" for one in value)
        for name, value in headers.items()
    ]
    lines.append(f"content-length: {len(body)}\r\n\r\n")
    return "".join(lines).encode("latin-1", "replace") + body


@lru_cache(maxsize=1024)
def _quoted(path: str) -> str:
    return quote(path, safe="/%:@!$&'()*+,;=~-._")


def _merge(target: Json, patch: Mapping[str, Any], *, force: bool) -> None:
    """Fill in what is missing, deep inside objects too; with force, replace what is there."""
    for name, value in patch.items():
        present = target.get(name)
        if isinstance(value, dict) and isinstance(present, dict):
            _merge(present, value, force=force)
        elif name not in target or force:
            target[name] = copy.deepcopy(value)
