"""The same against a gateway that somebody runs: an APISIX with etcd, none of whose objects is touched."""

import asyncio
import math
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

from controlplane.core.objects import Body, ObjectKey
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from tests.bench.plan import Target, document, measured
from tests.fixtures.specs import compiled

T = TypeVar("T")

CONCURRENCIES = (16, 32, 64)
ROUNDS = 3
REST_S = 15
_TO_DELETE = 8
_OF_THE_GATEWAY = ("create_time", "update_time")

Objects = Sequence[tuple[ObjectKey, Body]]


def measure_real(target: Target, sizes: Sequence[int]) -> None:
    """Rounds of a first apply and of bare writes of the very objects that it made, beside one another.

    An APISIX with etcd takes now more writes a second and now fewer, for minutes on end, and a fifth more
    just after others than after a rest. So everything is measured after the same rest, in turn, and medians
    are compared: the best of several single measurements would be luck that a first apply has only once.
    """
    for size in sizes:
        keys = [item.key for item in compiled(document(size)).objects]
        taken = asyncio.run(_taken(target, keys))
        if taken:
            raise SystemExit(f"the gateway has objects of these names, such as {taken}; remove them first")
        try:
            rounds = [_measure(target, size, keys) for _ in range(ROUNDS)]
        finally:
            asyncio.run(_removed(target, keys))
        apply_s = median(apply_s for apply_s, _ in rounds)
        bare_s = {at_once: median(bare[at_once] for _, bare in rounds) for at_once in CONCURRENCIES}
        best = min(bare_s, key=lambda at_once: bare_s[at_once])
        print(
            f"medians of {ROUNDS}: first apply {apply_s:.1f} s, bare writes {bare_s[best]:.1f} s "
            f"({best} at once), ratio {apply_s / bare_s[best]:.2f}",
            flush=True,
        )


def _measure(target: Target, size: int, keys: Sequence[ObjectKey]) -> tuple[float, Mapping[int, float]]:
    """The seconds of a first apply, and those of the bare writes by how many went out at once."""
    with tempfile.TemporaryDirectory() as folder:
        found = measured(size, Path(folder), target, len(keys), math.inf, math.inf, rest_s=REST_S)
    objects = asyncio.run(_made(target, keys))
    asyncio.run(_removed(target, keys))
    bare = {}
    for at_once in CONCURRENCIES:
        time.sleep(REST_S)
        bare[at_once] = asyncio.run(_written(target, objects, at_once))
        asyncio.run(_removed(target, keys))
    print(
        f"queues: {size}, objects: {len(objects)}\nfirst apply: {found.apply_s:.1f} s\n"
        + "".join(f"bare writes, {at_once} at once: {bare[at_once]:.1f} s\n" for at_once in bare)
        + f"ratio to the best of this round: {found.apply_s / min(bare.values()):.2f}\n"
        f"no-op plan: {found.first_s:.2f} s, again {found.no_op_s:.2f} s\n"
        f"one change: {found.change_ms:.0f} ms\nservice: {found.megabytes:.0f} MB",
        flush=True,
    )
    return found.apply_s, bare


async def _made(target: Target, keys: Sequence[ObjectKey]) -> Objects:
    """The objects as they were written."""
    admin = _admin(target, _TO_DELETE)
    try:
        live = await admin.read()
    finally:
        await admin.close()
    bodies = ((key, live[key].body) for key in keys)
    return [
        (key, {name: value for name, value in body.items() if name not in _OF_THE_GATEWAY})
        for key, body in bodies
    ]


async def _taken(target: Target, keys: Sequence[ObjectKey]) -> str | None:
    admin = _admin(target, _TO_DELETE)
    try:
        there = (await admin.read()).keys()
    finally:
        await admin.close()
    return next((str(key) for key in keys if key in there), None)


async def _written(target: Target, objects: Objects, at_once: int) -> float:
    """Seconds for bare writes of all of them, parents first."""
    admin = _admin(target, at_once)
    began = time.perf_counter()
    for rank in sorted({key.kind.rank for key, _ in objects}):
        of_rank = [each for each in objects if each[0].kind.rank == rank]
        await _each(of_rank, lambda one: admin.write(*one), at_once)
    took = time.perf_counter() - began
    await admin.close()
    return took


async def _removed(target: Target, keys: Sequence[ObjectKey]) -> None:
    admin = _admin(target, _TO_DELETE)
    for rank in sorted({key.kind.rank for key in keys}, reverse=True):
        of_rank = [key for key in keys if key.kind.rank == rank]
        await _each(of_rank, admin.delete, _TO_DELETE)
    await admin.close()


async def _each(things: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    left = iter(things)

    async def work_on(left: Iterator[T]) -> None:
        for each in left:
            await work(each)

    await asyncio.gather(*(work_on(left) for _ in range(at_once)))


def _admin(target: Target, at_once: int) -> ApisixAdmin:
    return ApisixAdmin(AdminClient(target.url, target.key, in_flight=at_once))
