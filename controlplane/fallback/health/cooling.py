"""Members that fail again and again are asked last for a while."""

from collections.abc import Callable
from dataclasses import dataclass

# However long a provider asks us to stay away, it is asked again after this time.
_LONGEST_S = 600.0


@dataclass(slots=True)
class _State:
    failures: int = 0
    until: float = 0.0


class CoolDowns:
    """Who is cooling down: after several failures in a row, or because a provider said for how long."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._states: dict[str, _State] = {}

    def failed(self, name: str, *, most: int, seconds: float, retry_after_s: float | None) -> None:
        """A member has failed: `most` times in a row is too much; what the provider says counts at once."""
        state = self._states.setdefault(name, _State())
        state.failures += 1
        if retry_after_s is not None:
            state.until = self._now() + min(retry_after_s, _LONGEST_S)
        elif state.failures >= most:
            state.until = self._now() + seconds

    def succeeded(self, name: str) -> None:
        self._states.pop(name, None)

    def cooling(self) -> frozenset[str]:
        """The members that should be asked last now."""
        if not self._states:
            return frozenset()
        now = self._now()
        return frozenset(name for name, state in self._states.items() if state.until > now)
