"""How many tokens a call is going to use, before it is made."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from controlplane.limiter.estimate.encodings import Encoder, Encodings
from controlplane.limiter.estimate.learning import AnswerSizes, TokensPerByte, remembered
from controlplane.limiter.estimate.request import RequestFacts, read_request

_MESSAGE_TOKENS = 4
_MOST_ENCODED = (
    16_384  # characters; encoding more would hold up everybody else, the rest is like the beginning
)
_TEMPLATE_TOKENS = 256
_TOOLS_TOKENS = 1024


class Estimate(NamedTuple):
    """What to reserve for a call.

    `cap` is the most tokens an answer may have for the estimate to hold: send it along if the client did not.
    A strict estimate is a true upper bound, unless `unbounded` says why there is none. `guessed`: the size of
    the answer rests on nothing, neither on a cap nor on calls of this queue that were learnt from.
    """

    prompt_tokens: int
    completion_tokens: int
    cap: int | None
    unbounded: tuple[str, ...]
    queue: str
    model: str
    text_bytes: int
    guessed: bool = False

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def amounts(self) -> dict[str, int]:
        """What to charge to each meter, as `charges` takes it."""
        return {
            "tokens": self.tokens,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


class Estimator:
    """Estimates, and learns from what calls really used. Never downloads anything, and knows no network."""

    def __init__(
        self,
        encodings: Encodings | None = None,
        *,
        quantile: float = 0.95,
        first_answer_tokens: int = 1024,
        image_tokens: int = 1000,
        largest_image_tokens: int = 50_000,
    ) -> None:
        self._encodings = encodings or Encodings()
        self._quantile = quantile
        self._first_answer_tokens = first_answer_tokens
        self._image_tokens = image_tokens
        self._largest_image_tokens = largest_image_tokens
        self._answers: OrderedDict[str, AnswerSizes] = OrderedDict()
        self._ratios: OrderedDict[str, TokensPerByte] = OrderedDict()

    def estimate(
        self,
        body: Mapping[str, object],
        *,
        size: int,
        queue: str,
        model: str,
        cap: int | None = None,
        strict: bool = False,
        answers: bool = True,
    ) -> Estimate:
        """The tokens of a call with this parsed body of `size` bytes. `cap` is the queue's, for each answer.

        `answers=False` is for calls that generate nothing, such as embeddings.
        """
        facts = read_request(body)
        text_bytes = 0
        for text in facts.texts:
            text_bytes += len(text) if text.isascii() else len(text.encode(errors="replace"))
        prompt = self._at_most(facts, size) if strict else self._likely(facts, model, text_bytes)
        completion, sent_cap, guessed = 0, None, False
        if answers:
            sent_cap = _smaller(facts.cap, cap)
            if sent_cap is None and strict:
                facts.unbounded.append("no max_tokens, and the queue has no cap of its own")
            usual = self._usual_answer(queue) if sent_cap is None else sent_cap
            guessed = usual is None
            completion = (self._first_answer_tokens if usual is None else usual) * facts.answers
        unbounded = tuple(facts.unbounded)
        return Estimate(prompt, completion, sent_cap, unbounded, queue, model, text_bytes, guessed)

    def learn(self, estimate: Estimate, *, prompt_tokens: int, completion_tokens: int) -> None:
        """What the call of that estimate really used."""
        remembered(self._answers, estimate.queue, AnswerSizes).learn(completion_tokens)
        remembered(self._ratios, estimate.model, TokensPerByte).learn(estimate.text_bytes, prompt_tokens)

    def _usual_answer(self, queue: str) -> int | None:
        return remembered(self._answers, queue, AnswerSizes).quantile(self._quantile)

    def _at_most(self, facts: RequestFacts, size: int) -> int:
        """A token is at least a byte; what chat templates and tools add around the request comes on top."""
        around = _TEMPLATE_TOKENS + (_TOOLS_TOKENS if facts.has_tools else 0)
        return max(0, size - facts.image_bytes) + facts.images * self._largest_image_tokens + around

    def _likely(self, facts: RequestFacts, model: str, text_bytes: int) -> int:
        encoder = self._encodings.of(model)
        if encoder is None:
            text = round(text_bytes * remembered(self._ratios, model, TokensPerByte).ratio)
        else:
            text = _encoded(encoder, facts.texts) + facts.messages * _MESSAGE_TOKENS
        return max(1, text + facts.token_ids + facts.images * self._image_tokens)


def _smaller(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _encoded(encoder: Encoder, texts: list[str]) -> int:
    characters = sum(map(len, texts))
    seen = tokens = 0
    for text in texts:
        part = text[: _MOST_ENCODED - seen]
        tokens += len(encoder.encode_ordinary(part))
        seen += len(part)
        if seen >= _MOST_ENCODED:
            break
    return tokens if seen in (0, characters) else round(tokens * characters / seen)
