"""Keys that get another text: the text before goes on opening what the key opens, until its window ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from controlplane.core.durations import InvalidDuration, window_seconds
from controlplane.core.secrets import Secret, SecretRef

USUAL_OVERLAP = "24h"
LONGEST_OVERLAP_S = 90 * 86_400
MOST_OLD_TEXTS = 4
"""As many texts as a key may have beside its own."""


@dataclass(frozen=True, slots=True)
class OldText:
    """A text that the key had before, and when it ceases to open anything."""

    secret: SecretRef
    ends_at: datetime
    rotated: bool = False
    """Whether the key had another text before this one."""


def suffix(secret: Secret, *, rotated: bool) -> str:
    """What ends the name of a text's credentials: always the same, so that a rotation leaves them alone."""
    return f".{secret.fingerprint[:16]}" if rotated and isinstance(secret, SecretRef) else ""


def overlap_seconds(text: str) -> int:
    """The length of a window such as `24h`; `0` ends the text before at once. Raises InvalidDuration."""
    if text == "0":
        return 0
    seconds = window_seconds(text)
    if seconds is None or seconds > LONGEST_OVERLAP_S:
        raise InvalidDuration(f"{text!r} is no overlap; write 0, 30m, 24h or 7d, and 90d at most")
    return seconds


def next_end(moments: Iterable[datetime | None], now: datetime) -> datetime | None:
    """The first of the moments that is still to come."""
    return min((moment for moment in moments if moment is not None and moment > now), default=None)
