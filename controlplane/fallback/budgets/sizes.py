"""How large a call is going to be, as each of its limits counts it."""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.fallback.budgets.configuration import Budget
from controlplane.fallback.llm.call import Call
from controlplane.fallback.llm.members import Member
from controlplane.fallback.runtime.context import Context
from controlplane.limiter.estimate import Estimate, Estimator

_ONE_EACH = frozenset({"requests", "concurrency"})
_GUESSED_SHARE = 16
"""What rests on nothing may hold at most this part of a limit."""
_CAP_OPTION = "max_tokens"


class NoUpperBound(Exception):
    """A strict limit counts the call, and nobody can say how large the call is at most."""


@dataclass(frozen=True, slots=True)
class Sizes:
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


def sizes_of(
    estimator: Estimator,
    context: Context,
    call: Call,
    member: Member,
    budgets: Iterable[Budget],
    *,
    queue: str,
    cap: int | None,
) -> Sizes:
    """The sizes of a call to a member. Raises NoUpperBound."""
    body = context.parsed_body()
    size = len(context.body or b"")
    model = str(member.options.get("model") or body.get("model") or "")
    caps = [known for known in (cap, member.cap.get(_CAP_OPTION)) if isinstance(known, int)]
    cap = min(caps, default=None)
    answers = call.protocol.name != "openai-embeddings"

    def estimate(*, strict: bool) -> Estimate:
        return estimator.estimate(
            body, size=size, queue=queue, model=model, cap=cap, strict=strict, answers=answers
        )

    strict = any(budget.strict for budget in budgets)
    most = estimate(strict=True) if strict else None
    if most is not None and call.protocol.name == "passthrough":
        raise NoUpperBound("what this address passes on is no protocol whose answers can be capped")
    if most is not None and most.unbounded:
        raise NoUpperBound("; ".join(most.unbounded))
    return Sizes(estimate(strict=False), most)
