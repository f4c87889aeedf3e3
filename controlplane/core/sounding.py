"""What is a secret by its name alone: a header such as `x-access-token`, and the query of an address.

It is kept as it was declared, and masked wherever something is told of it.
"""

import re
from collections.abc import Mapping
from typing import Any

from controlplane.core.secrets import MASK

_NAMES = re.compile(
    r"(?:^|[-_.])(?:token|secret|password|passwd|credentials?|authorization|cookie|signature|(?:api|access)[-_]?key)$",
    re.IGNORECASE,
)
# Some providers take their key in the address.
_QUERY = re.compile(r"(https?://[^\s?#]*\?)[^\s#]+")


def sounds_secret(name: str) -> bool:
    """Whether what is called so is a secret, as far as its name tells."""
    return _NAMES.search(name) is not None


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
