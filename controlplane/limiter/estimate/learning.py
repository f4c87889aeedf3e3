"""What past calls teach: how many tokens a queue's answers really have, and how many bytes make a token."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

_STEPS_PER_DOUBLING = 4
_WEIGHT_GROWTH = 1.005  # a call counts half as much as one 140 calls later
_FIRST_ANSWERS = 20
_LARGEST_WEIGHT = 1e100
_MOST_REMEMBERED = 1000

T = TypeVar("T")


class AnswerSizes:
    """How large the answers of one queue are, the recent ones counting more."""

    __slots__ = ("_calls", "_newest", "_weights")

    def __init__(self) -> None:
        self._weights: dict[int, float] = {}
        self._newest = 1.0
        self._calls = 0

    def learn(self, tokens: int) -> None:
        step = math.ceil(math.log2(tokens + 1) * _STEPS_PER_DOUBLING)
        self._weights[step] = self._weights.get(step, 0.0) + self._newest
        self._newest *= _WEIGHT_GROWTH
        self._calls += 1
        if self._newest > _LARGEST_WEIGHT:
            self._weights = {step: weight / self._newest for step, weight in self._weights.items()}
            self._newest = 1.0

    def quantile(self, share: float) -> int | None:
        """The size that so large a share of answers stays within; None while too few were seen."""
        if self._calls < _FIRST_ANSWERS:
            return None
        left = share * sum(self._weights.values())
        largest = 0
        for largest in sorted(self._weights):
            left -= self._weights[largest]
            if left <= 0:
                break
        return math.ceil(2 ** (largest / _STEPS_PER_DOUBLING)) - 1


class TokensPerByte:
    """How many tokens a byte of prompt is for one model: from every call, the recent ones counting more."""

    __slots__ = ("ratio",)

    def __init__(self) -> None:
        self.ratio = 0.3

    def learn(self, size: int, tokens: int) -> None:
        if size > 0:
            seen = min(max(tokens / size, 0.02), 1.0)
            self.ratio += 0.1 * (seen - self.ratio)


def remembered(memory: OrderedDict[str, T], name: str, make: Callable[[], T]) -> T:
    """What is known of that queue or model; what was not asked for in the longest time makes room for it."""
    known = memory.get(name)
    if known is None:
        known = memory[name] = make()
        if len(memory) > _MOST_REMEMBERED:
            memory.popitem(last=False)
    memory.move_to_end(name)
    return known
