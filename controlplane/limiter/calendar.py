"""Days, weeks and months as they begin in a time zone, also where a day has 23 or 25 hours."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Period(StrEnum):
    """A window of the calendar."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def window(period: Period, zone: ZoneInfo, at: float) -> tuple[float, float]:
    """The begin and the end, in seconds since the epoch, of the window that holds the moment `at`."""
    first = _first_day(period, datetime.fromtimestamp(at, zone).date())
    begin, end = _midnight(first, zone), _midnight(_following(period, first), zone)
    while at >= end:  # a clock set back over midnight shows the day before once more
        first = _following(period, first)
        begin, end = end, _midnight(_following(period, first), zone)
    return begin, end


def _first_day(period: Period, day: date) -> date:
    if period is Period.DAY:
        return day
    if period is Period.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1)


def _following(period: Period, first: date) -> date:
    if period is Period.DAY:
        return first + timedelta(days=1)
    if period is Period.WEEK:
        return first + timedelta(days=7)
    return (first + timedelta(days=32)).replace(day=1)


def _midnight(day: date, zone: ZoneInfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
