"""What is a secret by its name alone: a header such as `x-access-token`, and the query of an address.

It is kept as it was declared, and masked wherever something is told of it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.core.secrets import MASK

_NAMES = re.compile(
    r"(?:^|[-_.])(?:token|secret|password|passwd|credentials?|authorization|cookie|signature|(?:api|access)[-_]?key)$",
    re.IGNORECASE,
)
# How APISIX calls the keys of providers, clients and certificates, beside what sounds so.
_HELD = frozenset({"auth", "key", "keys"})
# Some providers take their key in the address.
_QUERY = re.compile(r"(https?://[^\s?#]*\?)[^\s#]+")


def sounds_secret(name: str) -> bool:
    """Whether what is called so is a secret, as far as its name tells."""
    return _NAMES.search(name) is not None


def secrets_of_gateway(value: Any) -> Iterator[str]:  # Any: JSON
    """Every text in an object of a gateway, whoever wrote it, that is a secret by its place."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name in _HELD or sounds_secret(name):
                yield from _texts(item)
            else:
                yield from secrets_of_gateway(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secrets_of_gateway(item)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield value.rpartition(" ")[2]  # without `Bearer` and its like
    elif isinstance(value, (Mapping, list, tuple)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def without_query(text: str) -> str:
    """The text without the queries of the addresses in it."""
    return _QUERY.sub(rf"\1{MASK}", text)


def without_what_sounds_secret(value: Any) -> Any:  # Any: JSON
    """The value with every text masked that is a secret by its name."""
    if isinstance(value, Mapping):
        return {
            name: MASK if isinstance(item, str) and sounds_secret(name) else without_what_sounds_secret(item)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_what_sounds_secret(item) for item in value]
    return without_query(value) if isinstance(value, str) else value
