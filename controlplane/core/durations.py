"""Windows of time as people write them: `30s`, `1m`, `1h`, `1d`, or the calendar's `day`, `week`, `month`."""

import re
from enum import StrEnum
from functools import lru_cache

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PATTERN = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d)")
LONGEST_SECONDS = 366 * 86400


class Calendar(StrEnum):
    """Windows that start at midnight, on Monday, or on the first of the month, in a time zone."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class InvalidDuration(ValueError):
    """The text is no window of time."""


def is_calendar(text: str | None) -> bool:
    return text in (Calendar.DAY, Calendar.WEEK, Calendar.MONTH)


@lru_cache(maxsize=1000)
def window_seconds(text: str) -> int | None:
    """Length of a fixed window in seconds; None for a calendar window. Raises InvalidDuration."""
    if is_calendar(text):
        return None
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise InvalidDuration(f"{text!r} is no window; write 30s, 1m, 1h, 1d, day, week or month")
    seconds = int(match.group(1)) * _UNITS[match.group(2)]
    if seconds > LONGEST_SECONDS:
        raise InvalidDuration(f"{text!r} is longer than a year")
    return seconds
