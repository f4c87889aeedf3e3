"""Never more than the limit in any span of the window's length.

What was taken is kept in slots, each a thirtieth of the window long, and comes back when its whole slot has
left the window: up to a thirtieth of a window late, never early.
"""

from collections import deque

from controlplane.limiter.algorithms.counter import NEVER, REFUSED, Standing
from controlplane.limiter.limits import SlidingWindow

SLOTS = 30


class _Slot:
    __slots__ = ("begin", "reserved", "taken")

    def __init__(self, begin: float, taken: float) -> None:
        self.begin = begin
        self.taken = taken
        self.reserved = 0


class SlidingWindowCounter:
    """A call counts in the slot that admitted it; what it used beyond, in the one where that is learnt."""

    __slots__ = ("_slots", "taken")
    kind = SlidingWindow.kind

    def __init__(self, taken: float, now: float) -> None:
        self._slots = deque([_Slot(now, taken)]) if taken else deque()
        self.taken = taken

    def take(self, rule: SlidingWindow, amount: int, now: float) -> float:
        slots = self._slots
        per = rule.per
        if slots and slots[0].begin + per + per / SLOTS <= now:
            self._drop(rule, now)
        taken = self.taken + amount
        if taken > rule.limit:
            return REFUSED
        if not amount:
            return 0.0
        self.taken = taken
        slot = slots[-1] if slots and slots[-1].begin + per / SLOTS > now else self._open(now)
        slot.taken += amount
        slot.reserved += amount
        return slot.begin

    def release(self, rule: SlidingWindow, held: int, kept: int, mark: float, now: float) -> None:
        slots = self._slots
        for slot in reversed(slots if held else ()):
            if slot.begin == mark:
                slot.taken += kept - held
                slot.reserved -= held
                self.taken += kept - held
                if not slot.taken and slot is slots[-1]:
                    slots.pop()
                return

    def charge(self, rule: SlidingWindow, amount: int, now: float) -> None:
        self._drop(rule, now)
        slots = self._slots
        slot = slots[-1] if slots and slots[-1].begin + rule.per / SLOTS > now else self._open(now)
        slot.taken += amount
        self.taken += amount

    def standing(self, rule: SlidingWindow, now: float) -> Standing:
        self._drop(rule, now)
        if not self.taken:
            return Standing(0, 0, 0.0)
        reserved = sum(slot.reserved for slot in self._slots)
        return Standing(self.taken - reserved, reserved, _returns_at(self._slots[-1], rule) - now)

    def wait(self, rule: SlidingWindow, amount: int, now: float) -> float:
        if amount > rule.limit:
            return NEVER
        self._drop(rule, now)
        excess = self.taken + amount - rule.limit
        if excess <= 0:
            return 0.0
        for slot in self._slots:
            excess -= slot.taken
            if excess <= 0:
                return _returns_at(slot, rule) - now
        return NEVER

    def idle(self, rule: SlidingWindow, now: float) -> bool:
        return not self.taken or self._slots[-1].begin + 3 * rule.per <= now

    def _drop(self, rule: SlidingWindow, now: float) -> None:
        slots = self._slots
        while slots and _returns_at(slots[0], rule) <= now:
            self.taken -= slots.popleft().taken

    def _open(self, now: float) -> _Slot:
        slot = _Slot(now, 0)
        self._slots.append(slot)
        return slot


def _returns_at(slot: _Slot, rule: SlidingWindow) -> float:
    """When all of the slot has left the window."""
    return slot.begin + rule.per + rule.per / SLOTS
