"""How many writes are made at once."""

import asyncio

from controlplane.gateway.driver import IN_FLIGHT, MOST_IN_FLIGHT
from controlplane.reconciler.pace import LATE_S, SOON_S, Pace


class Gateway:
    """Answers every write after so long, and notes how many wait for their answer at most."""

    def __init__(self, answer_s: float) -> None:
        self.answer_s = answer_s
        self._now = 0.0
        self.pace = Pace(lambda: self._now)
        self._waiting = 0

    async def take(self, writes: int) -> int:
        self._most = 0
        await asyncio.gather(*(self._write() for _ in range(writes)))
        return self._most

    async def _write(self) -> None:
        async with self.pace.turn():
            self._waiting += 1
            self._most = max(self._most, self._waiting)
            if self._waiting == 1:
                asyncio.get_running_loop().call_soon(self._advance)
            began = self._now
            while self._now < began + self.answer_s:
                await asyncio.sleep(0)
            self._waiting -= 1

    def _advance(self) -> None:
        self._now += self.answer_s


async def test_a_gateway_that_answers_soon_is_given_more_up_to_the_most() -> None:
    gateway = Gateway(SOON_S)
    assert [await gateway.take(writes) for writes in (IN_FLIGHT, 16, 32, 64, 1000)] == [8, 16, 32, 64, 64]
    assert gateway.pace.at_once == MOST_IN_FLIGHT


async def test_a_gateway_that_does_not_is_given_no_more() -> None:
    gateway = Gateway((SOON_S + LATE_S) / 2)
    assert [await gateway.take(500) for _ in range(2)] == [IN_FLIGHT, IN_FLIGHT]


async def test_a_gateway_that_answers_late_is_given_less_and_never_nothing() -> None:
    gateway = Gateway(LATE_S)
    assert [await gateway.take(writes) for writes in (8, 4, 2, 100)] == [8, 4, 2, 1]


async def test_a_gateway_that_recovers_is_given_more_again() -> None:
    gateway = Gateway(LATE_S)
    assert await gateway.take(8) == 8
    gateway.answer_s = SOON_S
    assert [await gateway.take(writes) for writes in (4, 8, 16)] == [4, 8, 16]


async def test_a_few_writes_say_nothing_about_a_gateway() -> None:
    gateway = Gateway(SOON_S)
    assert [await gateway.take(3) for _ in range(2)] == [3, 3]
    assert gateway.pace.at_once == IN_FLIGHT


async def test_a_write_that_fails_or_is_given_up_gives_its_turn_back() -> None:
    pace = Pace()

    async def fail() -> None:
        async with pace.turn():
            raise ConnectionError

    async with asyncio.timeout(10):
        failed = await asyncio.gather(*(fail() for _ in range(200)), return_exceptions=True)
    assert [type(each) for each in failed] == [ConnectionError] * 200
