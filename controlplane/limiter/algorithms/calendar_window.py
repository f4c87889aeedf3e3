"""A window of the calendar: a day, a week or a month of a time zone."""

from collections.abc import Callable

from controlplane.limiter.algorithms.counter import NEVER, REFUSED, Standing
from controlplane.limiter.calendar import window
from controlplane.limiter.limits import CalendarWindow


class CalendarWindowCounter:
    """Reads the wall clock instead of `now`: a calendar follows it, also when it is set."""

    __slots__ = ("_ends", "_rule", "_wall", "reserved", "start", "taken")
    kind = CalendarWindow.kind

    def __init__(self, taken: float, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._rule: CalendarWindow | None = None
        self._ends = 0.0
        self.start = wall()
        self.taken = taken
        self.reserved = 0

    def take(self, rule: CalendarWindow, amount: int, now: float) -> float:
        self._turn(rule)
        taken = self.taken + amount
        if taken > rule.limit:
            return REFUSED
        self.taken = taken
        self.reserved += amount
        return self.start

    def release(self, rule: CalendarWindow, held: int, kept: int, mark: float, now: float) -> None:
        if mark == self.start:
            self.taken += kept - held
            self.reserved -= held

    def charge(self, rule: CalendarWindow, amount: int, now: float) -> None:
        self._turn(rule)
        self.taken += amount

    def standing(self, rule: CalendarWindow, now: float) -> Standing:
        wall = self._turn(rule)
        return Standing(self.taken - self.reserved, self.reserved, self._ends - wall)

    def wait(self, rule: CalendarWindow, amount: int, now: float) -> float:
        if amount > rule.limit:
            return NEVER
        used, reserved, resets_in = self.standing(rule, now)
        return 0.0 if used + reserved + amount <= rule.limit else resets_in

    def idle(self, rule: CalendarWindow, now: float) -> bool:
        self._turn(rule)
        return not self.taken

    def _turn(self, rule: CalendarWindow) -> float:
        """Begin a new window if the old one is over; what was used stays when only the rule was edited."""
        wall = self._wall()
        if not self.start <= wall < self._ends or rule is not self._rule:
            begin, self._ends = window(rule.period, rule.time_zone, wall)
            self._rule = rule
            if not begin <= self.start < self._ends:
                self.start = begin
                self.taken = 0
                self.reserved = 0
        return wall
