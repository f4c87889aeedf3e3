"""What was made before, kept with what it was made from, so that only what changed is made again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")
_SPARE = 1000
"""So many results more than are used may be kept."""


@dataclass
class Memory:
    """The results of one compiler, by name. Equal inputs give equal results, whether kept or made."""

    # Any: results of several kinds, each asked for under names of its own.
    _kept: dict[tuple[str, str], tuple[tuple[object, ...], Any, int]] = field(default_factory=dict)
    _turn: int = 0
    """How often it was tidied up; of each result it is known in which turn somebody asked for it last."""

    def recall(self, kind: str, name: str, inputs: tuple[object, ...], make: Callable[[], T]) -> T:
        """The result for these inputs: the kept one, or one that is made now and kept from now on."""
        kept = self._kept.get((kind, name))
        # A tuple compares its items by identity first: what nobody has touched costs next to nothing.
        result = cast(T, kept[1]) if kept is not None and kept[0] == inputs else make()
        # The newest inputs are kept, for those are the ones that will be asked about again.
        self._kept[kind, name] = (inputs, result, self._turn)
        return result

    def tidy_up(self, used: int) -> None:
        """Let go of results that nobody asked for since the last time, once they are many more than are used.

        A plan that is about to be applied was asked for a moment ago, and is used by nothing yet.
        """
        if len(self._kept) > 4 * used + _SPARE:
            for key, (_, _, turn) in list(self._kept.items()):
                if turn < self._turn:
                    self._kept.pop(key, None)
            self._turn += 1
