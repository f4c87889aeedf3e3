"""How large a call is going to be, as each of its limits counts it."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from controlplane.fallback.budgets.configuration import Budget
from controlplane.fallback.llm.call import Call
from controlplane.fallback.llm.members import Member
from controlplane.fallback.runtime.context import Context
from controlplane.limiter.estimate import Estimate, Estimator

_ONE_EACH = frozenset({"requests", "concurrency"})
_GUESSED_SHARE = 16
"""What rests on nothing may hold at most this part of a limit."""


class NoUpperBound(Exception):
    """A strict limit counts the call, and nobody can say how large the call is at most."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts the calls to one member of a queue."""

    budgets: tuple[Budget, ...]
    strict: bool
    """Whether one of the budgets is."""
    queue: str
    cap: int | None
    """The most tokens of an answer that the queue allows."""


class Sizes(NamedTuple):
    """What is expected of a call, and what it is at most where a limit is strict."""

    likely: Estimate
    most: Estimate | None

    @property
    def cap(self) -> int | None:
        """The most tokens that an answer may have for the upper bound to hold."""
        return self.most.cap if self.most is not None else None

    def amount(self, budget: Budget) -> int:
        """What to reserve for the call on one limit."""
        meter = budget.limit.meter
        if meter in _ONE_EACH:
            return 1
        if budget.strict and self.most is not None:
            return self.most.amounts[meter]
        limit, prompt, answer = (
            budget.limit.rule.limit,
            self.likely.prompt_tokens,
            self.likely.completion_tokens,
        )
        if self.likely.guessed:
            answer = min(answer, limit // _GUESSED_SHARE)
        if meter == "prompt_tokens":
            return prompt
        # What an answer may need must not keep a call out for ever; only its prompt, which is there, may.
        if meter == "completion_tokens":
            return min(answer, limit)
        return min(prompt + answer, max(limit, prompt))


def sizes_of(estimator: Estimator, context: Context, call: Call, member: Member, counted: Counted) -> Sizes:
    """The sizes of a call to a member. Raises NoUpperBound."""
    body = context.parsed_body()
    cap, own = counted.cap, member.output_cap
    estimate = partial(
        estimator.estimate,
        body,
        size=len(context.body or b""),
        queue=counted.queue,
        model=str(member.options.get("model") or body.get("model") or ""),
        cap=cap if own is None else own if cap is None else min(cap, own),
        answers=call.protocol.name != "openai-embeddings",
    )
    likely = estimate()
    if not counted.strict:
        return Sizes(likely, None)
    if call.protocol.name == "passthrough":
        raise NoUpperBound("what this address passes on is no protocol whose answers can be capped")
    most = estimate(strict=True)
    if most.unbounded:
        raise NoUpperBound("; ".join(most.unbounded))
    return Sizes(likely, most)
