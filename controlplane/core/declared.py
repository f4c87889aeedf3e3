"""What everything declared has in common."""

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
        raise ValueError("must not carry a user or password; put the secret into api_key")
    if parts.fragment:
        raise ValueError("must not have a fragment; remove the # and what follows it")
    return value


def own_name(name: str, own_id: UUID | None = None) -> None:
    """Objects are addressed by name or UUID: raises WrongField for the UUID of something else."""
    try:
        looks_like = UUID(name)
    except ValueError:
        return
    if looks_like != own_id:
        raise WrongField(
            "name", "the name looks like a UUID, which addresses another object; choose another name"
        )


def unique(names: list[str], what: str, *, at: str | None = None) -> None:
    """Raises ValueError for the first of them that is there twice; `at` is the list that they are in."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            message = f"{what} {name!r} is declared twice; give each its own name"
            raise WrongField(f"{at}[{index}]", message) if at else ValueError(message)
        seen.add(name)


@lru_cache(maxsize=1000)
def the_same(value: T) -> T:
    """A value that equals this one and was declared before: thousands of queues share what is alike."""
    return value


Endpoint = Annotated[Text, AfterValidator(_http_url)]
Labels = dict[Name, LabelValue]
Limits = Annotated[tuple[Limit, ...], Field(max_length=LIMITS_EACH), AfterValidator(the_same)]
LimitsAbove = Annotated[tuple[Limit, ...], Field(max_length=LIMITS_ABOVE)]
"""Of tenants and tiers: teams and users may have limits of their own."""
