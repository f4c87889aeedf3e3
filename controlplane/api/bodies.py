"""Reading what a client sends: never more than the limit, and never anything but plain JSON."""

import json
from typing import Any

from litestar import Request

from controlplane.core.field_paths import visible
from controlplane.errors import InvalidRequest, PayloadTooLarge, Problem, UnsupportedMediaType

# Any: Litestar's type parameters, and JSON.
AnyRequest = Request[Any, Any, Any]

LARGEST_BODY = 1024 * 1024
LARGEST_DOCUMENT = 16 * 1024 * 1024
DEEPEST = 64
_CONTAINERS = (dict, list)
JSON_TYPES = ("application/json",)
PATCH_TYPES = ("application/merge-patch+json", "application/json")


async def read_json(
    request: AnyRequest,
    *,
    largest: int = LARGEST_BODY,
    types: tuple[str, ...] = JSON_TYPES,
    empty: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON object of a request's body; `empty` stands for none at all, where that is allowed."""
    body = await read_body(request, largest=largest, types=types)
    return empty if empty is not None and not body else parse_object(body)


async def read_body(
    request: AnyRequest, *, largest: int = LARGEST_BODY, types: tuple[str, ...] = JSON_TYPES
) -> bytes:
    """A body of one of these types, as it is. Raises UnsupportedMediaType and PayloadTooLarge."""
    kind = request.headers.get("content-type", types[0]).partition(";")[0].strip().lower()
    if kind not in types:
        raise UnsupportedMediaType(
            f"the content type {visible(kind)!r} is not read here", remedy=f"send {types[0]}"
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("a compressed body is not read here", remedy="send it as it is")
    return await read_bytes(request, largest)


async def read_bytes(request: AnyRequest, largest: int) -> bytes:
    """A body as it is. Raises PayloadTooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > largest:
            raise PayloadTooLarge(
                f"the body is larger than {largest} bytes", remedy="declare less in one request"
            )
    return bytes(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises InvalidRequest."""
    value = parse(body)
    if not isinstance(value, dict):
        raise InvalidRequest(
            "the body must be a JSON object", remedy="write names and values between { and }"
        )
    return value


def parse(body: bytes) -> Any:
    """JSON as RFC 8259 has it, without what only some parsers read. Raises InvalidRequest."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        raise InvalidRequest("the body is no UTF-8", remedy="encode it as UTF-8") from None
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"the body is no JSON ({where})", remedy="mend it there") from None
    except ValueError as error:
        raise InvalidRequest(f"the body cannot be read: {error}"[:200], remedy="mend it") from None
    if _deeper_than(value, DEEPEST):
        raise _too_deep()
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        problem = Problem(visible(twice), "is written twice in one object", "keep one of them")
        raise InvalidRequest("the body is ambiguous", problems=[problem])
    return made


def _constant(name: str) -> None:
    raise InvalidRequest(f"the body has {name}, which is no JSON", remedy="write a number, or null")


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"the body is nested deeper than {DEEPEST} levels", remedy="flatten it")


def _deeper_than(value: Any, levels: int) -> bool:
    """Whether something stands below so many containers."""
    layer = [value]
    for _ in range(levels):
        # Only what has something in it can be deeper, and it is dicts and lists that a JSON text gives.
        layer = [container for container in layer if type(container) in _CONTAINERS and container]
        if not layer:
            return False
        layer = [
            item
            for container in layer
            for item in (container.values() if type(container) is dict else container)
        ]
    return True
