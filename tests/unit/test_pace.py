"""How many writes are made at once."""

from controlplane.gateway.driver import IN_FLIGHT, MOST_IN_FLIGHT
from controlplane.reconciler.pace import Pace


class Gateway:
    """Takes so many writes a second, by how many are made at once."""

    def __init__(self, rates: dict[int, float]) -> None:
        self._rates = rates
        self._now = 0.0
        self.pace = Pace(lambda: self._now)

    def take(self, writes: int, held_up_s: float = 0.0) -> int:
        with self.pace.measured(writes) as at_once:
            self._now += writes / self._rates[at_once] + held_up_s
        return at_once


def test_a_gateway_that_takes_more_at_once_is_given_more_up_to_the_most() -> None:
    gateway = Gateway({8: 1000, 16: 2000, 32: 3000, 64: 4000})
    assert [gateway.take(100) for _ in range(5)] == [IN_FLIGHT, 16, 32, MOST_IN_FLIGHT, 64]


def test_a_gateway_that_takes_no_more_at_once_is_left_at_what_it_takes() -> None:
    gateway = Gateway({8: 700, 16: 720})
    assert [gateway.take(100) for _ in range(5)] == [8, 16, 16, 8, 8]


def test_more_at_once_is_tried_again_some_time_later() -> None:
    gateway = Gateway({8: 700, 16: 720, 32: 2000})
    assert [gateway.take(100) for _ in range(3)] == [8, 16, 16]
    assert [gateway.take(500) for _ in range(2)] == [8, 8]
    assert [gateway.take(100) for _ in range(3)] == [8, 16, 16]


def test_something_that_holds_up_one_part_says_nothing_about_the_gateway() -> None:
    gateway = Gateway({8: 1000, 16: 2000, 32: 3000})
    assert [gateway.take(100, held_up_s=held_up_s) for held_up_s in (0, 2, 0, 0)] == [8, 16, 16, 32]


def test_a_few_writes_say_nothing_about_a_gateway() -> None:
    gateway = Gateway({8: 1000, 16: 2000})
    assert [gateway.take(10) for _ in range(3)] == [8, 8, 8]


def test_the_parts_are_small_until_the_pace_is_known() -> None:
    gateway = Gateway({8: 700, 16: 720})
    sizes = []
    for _ in range(5):
        sizes.append(gateway.pace.part(500))
        gateway.take(sizes[-1])
    assert sizes == [100, 100, 100, 500, 500]
