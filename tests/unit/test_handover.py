"""Results go from many workers to one, while the work goes on."""

import asyncio

import pytest

from controlplane.reconciler.handover import Handover

_PATIENCE_S = 30


async def test_what_is_made_is_taken_together_and_the_rest_at_the_end() -> None:
    handover: Handover[int] = Handover(3)
    for value in range(4):
        await handover.put(value)
    assert await handover.take() == [0, 1, 2, 3]
    await handover.put(4)
    handover.end()
    assert [await handover.take() for _ in range(3)] == [[4], [], []]


async def test_nothing_is_taken_before_it_is_enough() -> None:
    handover: Handover[int] = Handover(2)
    await handover.put(1)
    taking = asyncio.create_task(handover.take())
    await asyncio.sleep(0)
    assert not taking.done()
    await handover.put(2)
    async with asyncio.timeout(_PATIENCE_S):
        assert await taking == [1, 2]


async def test_who_makes_more_than_is_taken_waits() -> None:
    handover: Handover[int] = Handover(2)
    made: list[int] = []

    async def make() -> None:
        for value in range(10):
            await handover.put(value)
            made.append(value)

    making = asyncio.create_task(make())
    while len(made) < 3:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert made == [0, 1, 2], "the fourth is held, and its maker waits"
    taken: list[int] = []
    async with asyncio.timeout(_PATIENCE_S):
        while len(taken) < 10:
            taken += await handover.take()
        await making
    assert taken == list(range(10))


@pytest.mark.parametrize("workers", [1, 7, 64])
async def test_nothing_is_lost_or_told_twice(workers: int) -> None:
    handover: Handover[int] = Handover(5)
    left = iter(range(1000))

    async def work() -> None:
        for value in left:
            await asyncio.sleep(0)
            await handover.put(value)

    working = asyncio.gather(*(work() for _ in range(workers)))
    working.add_done_callback(lambda _: handover.end())
    taken: list[int] = []
    async with asyncio.timeout(_PATIENCE_S):
        while some := await handover.take():
            taken += some
    assert sorted(taken) == list(range(1000))
