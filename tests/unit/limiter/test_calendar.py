"""Days, weeks and months of all time zones."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.limiter.calendar import Period, window

zones = st.sampled_from(sorted(available_timezones())).map(ZoneInfo)


@given(period=st.sampled_from(Period), zone=zones, at=st.floats(0, 4e9))
def test_windows_hold_their_moment_and_leave_no_gap(period: Period, zone: ZoneInfo, at: float) -> None:
    begin, end = window(period, zone, at)
    assert begin <= at < end
    assert window(period, zone, begin) == (begin, end)
    assert window(period, zone, end)[0] == end


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        (Period.DAY, "2024-02-29T00:00", "2024-03-01T00:00"),
        (Period.WEEK, "2024-02-26T00:00", "2024-03-04T00:00"),
        (Period.MONTH, "2024-02-01T00:00", "2024-03-01T00:00"),
    ],
)
def test_a_window_begins_and_ends_at_midnight_of_its_zone(period: Period, begin: str, end: str) -> None:
    zone = ZoneInfo("America/New_York")
    at = datetime(2024, 3, 1, 3, 30, tzinfo=UTC).timestamp()
    assert [
        datetime.fromtimestamp(edge, zone).isoformat("T", "minutes")[:16] for edge in window(period, zone, at)
    ] == [
        begin,
        end,
    ]


@pytest.mark.parametrize(("day", "hours"), [((2024, 3, 31), 23), ((2024, 10, 27), 25), ((2024, 6, 1), 24)])
def test_a_day_is_as_long_as_summer_time_makes_it(day: tuple[int, int, int], hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    begin, end = window(Period.DAY, zone, datetime(*day, 12, tzinfo=zone).timestamp())
    assert (end - begin) / 3600 == hours
