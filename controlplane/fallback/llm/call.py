"""The state of one call to a model: who is asked, in which protocol, and what it has cost."""

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from controlplane.fallback.llm.protocols import LlmProtocol
from controlplane.fallback.llm.usage import COUNTS, Usage

if TYPE_CHECKING:
    from controlplane.fallback.llm.members import Member
    from controlplane.fallback.runtime.balancing import Turn

_USAGE_VARIABLES = tuple(f"llm_{name}" for name in COUNTS)
_figures = attrgetter(*COUNTS)


class Call:
    """One call. `usage` stays None until something is known of what it cost; `retry_after_s` is what the last
    member that refused it has said. `cap` is the most tokens that an answer may have, whatever the client
    wrote.
    """

    __slots__ = (
        "attempt_started",
        "cap",
        "limited",
        "protocol",
        "retries",
        "retry_after_s",
        "streaming",
        "target",
        "turn",
        "usage",
    )

    def __init__(self, protocol: LlmProtocol, *, streaming: bool) -> None:
        self.protocol = protocol
        self.streaming = streaming
        self.target: Member | None = None
        self.turn: Turn | None = None
        self.usage: Usage | None = None
        self.limited = False
        self.cap: int | None = None
        self.retries = 0
        self.retry_after_s: float | None = None
        self.attempt_started = 0.0

    @property
    def member(self) -> str | None:
        """The name of the member that is asked."""
        return self.target.name if self.target is not None else None

    def set_usage(self, usage: Usage | None, values: dict[str, Any]) -> None:
        """Keep what a call cost and make it readable in variables."""
        self.usage = usage
        known = usage or Usage()
        values.update(zip(_USAGE_VARIABLES, _figures(known), strict=True))
