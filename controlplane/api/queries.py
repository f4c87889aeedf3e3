"""Query strings and conditional headers, read strictly."""

import re
from collections.abc import Collection
from datetime import datetime

from controlplane.api.bodies import AnyRequest
from controlplane.core.field_paths import visible
from controlplane.core.problems import meant_by
from controlplane.errors import InvalidRequest, Problem
from controlplane.store.records import Kind, Query

LARGEST_PAGE = 500
_FILTERS = ("limit", "cursor", "name_prefix", "source", "label")
_OWN_FILTERS = {
    Kind.PROVIDER: ("type",),
    Kind.QUEUE: ("tenant",),
    Kind.RULE: ("tenant",),
    Kind.KEY: ("tenant",),
}
_ETAGS = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e]*"\s*)*')
_VERSION = re.compile(r'(?<!W/)"([0-9]{1,18})"')


def only(request: AnyRequest, known: Collection[str]) -> dict[str, str]:
    """The query's values. Raises InvalidRequest for a name that nobody reads, or that is given twice."""
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise wrong(
                visible(name), "is no parameter of this address", meant_by(name, sorted(known), "remove it")
            )
        if name in values:
            raise wrong(name, "is given twice", "keep one of them")
        if not value.isprintable() or any("\ud800" <= char <= "\udfff" for char in value):
            raise wrong(name, "has characters that no name has", "remove them")
        values[name] = value
    return values


def filters_of(kind: Kind) -> tuple[str, ...]:
    """What a list of this kind can be asked for."""
    return (*_FILTERS, *_OWN_FILTERS.get(kind, ()))


def list_query(request: AnyRequest, kind: Kind) -> Query:
    """Filters and page of a list."""
    values = only(request, filters_of(kind))
    limit = number(values.pop("limit", "50"), "limit", largest=LARGEST_PAGE)
    return Query(
        limit=limit,
        cursor=values.get("cursor"),
        name_prefix=values.get("name_prefix"),
        source=values.get("source"),
        tenant=values.get("tenant"),
        type=values.get("type"),
        label=values.get("label"),
    )


def number(text: str, name: str, *, largest: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or not 1 <= int(text) <= largest:
        raise wrong(name, f"must be a whole number from 1 to {largest}", "correct it")
    return int(text)


def moment(text: str, name: str) -> datetime:
    """A moment such as 2026-01-31T12:00:00Z."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise wrong(name, "must be a moment with its time zone", "write it such as 2026-01-31T12:00:00Z")
    return found


def flag(text: str, name: str) -> bool:
    if text not in ("true", "false"):
        raise wrong(name, "must be true or false", "correct it")
    return text == "true"


def wanted_versions(request: AnyRequest) -> tuple[int, ...] | None:
    """The versions that If-Match allows, none of them where its ETags are not ours; None for any version."""
    header = request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    if not _ETAGS.fullmatch(header):
        raise wrong("If-Match", "is no list of ETags", 'send the ETag as it came, such as "7"')
    return tuple(int(version) for version in _VERSION.findall(header))


def wrong(field: str, message: str, remedy: str) -> InvalidRequest:
    """A parameter that cannot be understood."""
    return InvalidRequest("the request cannot be understood", problems=[Problem(field, message, remedy)])
