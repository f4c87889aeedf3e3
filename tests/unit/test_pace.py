"""How many writes are made at once."""

from controlplane.gateway.driver import IN_FLIGHT, MOST_IN_FLIGHT
from controlplane.reconciler.pace import Pace


class Gateway:
    """Takes so many writes a second, by how many are made at once."""

    def __init__(self, rates: dict[int, float]) -> None:
        self._rates = rates
        self._now = 0.0
        self.pace = Pace(lambda: self._now)

    def take(self, writes: int) -> int:
        with self.pace.measured(writes) as at_once:
            self._now += writes / self._rates[at_once]
        return at_once


def test_a_gateway_that_takes_more_at_once_is_given_more_up_to_the_most() -> None:
    gateway = Gateway({8: 1000, 16: 2000, 32: 3000})
    assert [gateway.take(500) for _ in range(5)] == [IN_FLIGHT, 16, MOST_IN_FLIGHT, 32, 32]


def test_a_gateway_that_takes_no_more_at_once_is_left_at_what_it_takes() -> None:
    gateway = Gateway({8: 700, 16: 720, 32: 9999})
    assert [gateway.take(500) for _ in range(4)] == [8, 16, 8, 8]


def test_a_few_writes_say_nothing_about_a_gateway() -> None:
    gateway = Gateway({8: 1000, 16: 2000})
    assert [gateway.take(10) for _ in range(3)] == [8, 8, 8]
