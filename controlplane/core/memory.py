"""What was made before, kept with what it was made from, so that only what changed is made again."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")
_SPARE = 1000
"""So many results more than are used may be kept: a plan that is about to be applied, for instance."""


@dataclass
class Memory:
    """The results of one compiler, by name. Equal inputs give equal results, whether kept or made."""

    # Any: results of several kinds, each asked for under names of its own.
    _kept: dict[tuple[str, str], tuple[tuple[object, ...], Any]] = field(default_factory=dict)

    def recall(self, kind: str, name: str, inputs: tuple[object, ...], make: Callable[[], T]) -> T:
        """The result for these inputs: the kept one, or one that is made now and kept from now on."""
        kept = self._kept.get((kind, name))
        # A tuple compares its items by identity first: what nobody has touched costs next to nothing.
        result = cast(T, kept[1]) if kept is not None and kept[0] == inputs else make()
        # The newest inputs are kept, for those are the ones that will be asked about again.
        self._kept[kind, name] = (inputs, result)
        return result

    def forget_all_but(self, names: Collection[str]) -> None:
        """Let go of results that are not used, once they are many."""
        if len(self._kept) > 4 * len(names) + _SPARE:
            for key in [key for key in list(self._kept) if key[1] not in names]:
                self._kept.pop(key, None)
