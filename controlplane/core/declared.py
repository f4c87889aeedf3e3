"""What everything declared has in common."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from controlplane.core.limits import Limit
from controlplane.core.text import LabelValue, Name, Text
from controlplane.core.wrong_field import WrongField

LIMITS_EACH = 16
LIMITS_ABOVE = 256
T = TypeVar("T")


class Declared(BaseModel):
    """Base of every declared thing: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _http_url(value: str) -> str:
    if any(char.isspace() for char in value):
        raise ValueError("must not contain spaces")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must be a URL that starts with http:// or https:// and names a host")
    if "@" in parts.netloc:
        raise ValueError(
            "must not carry a user or password; put the secret into the field that is there for it"
        )
    if parts.fragment:
        raise ValueError("must not have a fragment; remove the # and what follows it")
    return value


def own_name(name: str, own_id: UUID | None = None) -> Iterator[WrongField]:
    """Objects are addressed by name or UUID, so a name must not be the UUID of something else."""
    try:
        looks_like = UUID(name)
    except ValueError:
        return
    if looks_like != own_id:
        message = "the name looks like a UUID, which addresses another object; choose another name"
        yield WrongField("name", message)


def unique(names: Sequence[str | None], what: str, *, at: str) -> Iterator[WrongField]:
    """Those that are there already; `at` is the list that they are in, and None a name that is wrong."""
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            message = f"{what} {str(name)!r} is declared twice; give each its own name"
            yield WrongField(f"{at}[{index}]", message)
        elif name is not None:
            seen.add(name)


def names_of(items: Sequence[object]) -> list[str | None]:
    """The names of declared objects; None for one that cannot be known, because it is wrong."""
    return [getattr(item, "name", None) for item in items]


def divided(limits: Sequence[object]) -> Iterator[tuple[str, str]]:
    """The field that says by what a limit is divided, and by what; without those that cannot be known."""
    for index, limit in enumerate(limits):
        if (by := getattr(limit, "by", None)) is not None:
            yield f"limits[{index}].by", by


def needs_keys(limits: Sequence[object], what: str) -> Iterator[WrongField]:
    """The limits that an open queue or rule cannot have."""
    for field, by in divided(limits):
        if by == "key":
            yield WrongField(field, f"`by: key` needs `access: keys`, for an open {what} knows no keys")


@lru_cache(maxsize=1000)
def the_same(value: T) -> T:
    """A value that equals this one and was declared before: thousands of queues share what is alike."""
    return value


Endpoint = Annotated[Text, AfterValidator(_http_url)]
Labels = dict[Name, LabelValue]
Limits = Annotated[tuple[Limit, ...], Field(max_length=LIMITS_EACH), AfterValidator(the_same)]
LimitsAbove = Annotated[tuple[Limit, ...], Field(max_length=LIMITS_ABOVE)]
"""Of tenants and tiers: teams and users may have limits of their own."""
