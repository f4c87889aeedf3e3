"""State that belongs to a configuration rather than to a request: whose turn it is, which members rest.

It outlives the rebuilding of plugins when something else on the gateway changes, and is forgotten when it has
not been used for long.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

State = TypeVar("State")

KEPT = 20_000


class Memory:
    """Values by key; the least recently used are forgotten."""

    def __init__(self) -> None:
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], State]) -> State:
        """The value of a key, made when it is first asked for."""
        if key in self._values:
            self._values.move_to_end(key)
            value: State = self._values[key]
            return value
        value = self._values[key] = make()
        if len(self._values) > KEPT:
            self._values.popitem(last=False)
        return value
