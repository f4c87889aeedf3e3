"""What is written object by object: results come while the writes go on, and whoever closes ends them."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from controlplane.core.objects import GatewayObject, Kind, ObjectKey, body_hash, packed
from controlplane.core.plan import Action, Plan, Reason, Step, ordered
from controlplane.core.secrets import SecretRef
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.driver import IN_FLIGHT
from controlplane.reconciler.applying import Result, apply

MANY = 2000

# Any: bodies of gateway objects.


class Objects:
    """The write side of such a gateway, which takes the time of one turn of the loop for each write."""

    def __init__(self) -> None:
        self.read_stamp: str | None = None
        self.written: list[ObjectKey] = []
        self.looked_at: list[int] = []
        self.refused: ObjectKey | None = None
        self.fault_after = 2 * MANY
        self.gone = False
        self.tried = 0

    async def check(self, objects: Any) -> Mapping[ObjectKey, str]:
        self.looked_at.append(len(list(objects)))
        return {}

    async def write(self, key: ObjectKey, _: Any, secrets: Any = ()) -> None:
        self.tried += 1
        await asyncio.sleep(0)
        if self.gone:
            raise GatewayUnavailable("nobody answers")
        if len(self.written) >= self.fault_after:
            raise ArithmeticError("a fault of ours")
        if key == self.refused:
            raise GatewayRefused("it is refused", status=400)
        self.written.append(key)

    async def delete(self, key: ObjectKey) -> None:
        await self.write(key, None)

    async def _nothing(self, *_: Any) -> Any:
        raise AssertionError("nothing else is asked")

    capabilities = read = stamp = find = last_uses = validate = close = _nothing


def created(kind: Kind, object_id: str, **body: Any) -> Step:
    key = ObjectKey(kind, object_id)
    item = GatewayObject(key, packed({"id": object_id, **body}), body_hash({}), "queue support")
    return Step(Action.CREATE, key, Reason.DECLARED, item)


def plan(routes: int) -> Plan:
    steps = [created(Kind.ROUTE, f"r{number}", service_id="s") for number in range(routes)]
    return Plan(ordered([created(Kind.SERVICE, "s"), *steps]))


async def test_results_come_some_hundred_at_a_time_in_the_order_of_ranks() -> None:
    gateway = Objects()
    parts = [part async for part in apply(plan(MANY), gateway, {})]
    results = [result for part in parts for result in part]
    assert len(results) == len(gateway.written) == MANY + 1
    assert gateway.written[0].kind is Kind.SERVICE
    assert len(parts) > 2, "the service, and the routes not all at once"
    assert sum(gateway.looked_at) == MANY + 1


async def test_no_write_waits_for_the_look_at_the_steps_behind_it() -> None:
    class Patient(Objects):
        """Takes nothing before it has been asked about the steps behind."""

        behind = asyncio.Event()

        async def check(self, objects: Any) -> Mapping[ObjectKey, str]:
            found = await super().check(objects)
            if len(self.looked_at) > 1:
                self.behind.set()
            return found

        async def write(self, key: ObjectKey, body: Any, secrets: Any = ()) -> None:
            await self.behind.wait()
            await super().write(key, body)

    gateway = Patient()
    routes = Plan(tuple(created(Kind.ROUTE, f"r{number}") for number in range(MANY)))
    async with asyncio.timeout(30):
        results = [result async for part in apply(routes, gateway, {}) for result in part]
    assert len(results) == len(gateway.written) == MANY


async def test_whoever_closes_while_the_steps_behind_are_looked_at_waits_for_nobody() -> None:
    class Slow(Objects):
        async def check(self, objects: Any) -> Mapping[ObjectKey, str]:
            found = await super().check(objects)
            if len(self.looked_at) == 8:
                await asyncio.Event().wait()
            return found

    gateway = Slow()
    parts = apply(plan(MANY), gateway, {})
    await anext(parts)  # the service
    await anext(parts)
    await parts.aclose()
    assert len(gateway.looked_at) == 8
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_whoever_closes_ends_the_writes() -> None:
    gateway = Objects()
    parts = apply(plan(MANY), gateway, {})
    await anext(parts)  # the service
    await anext(parts)
    await parts.aclose()
    written = len(gateway.written)
    assert written < MANY
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.sleep(0)
    assert len(gateway.written) == written


async def test_what_needs_a_failed_object_is_not_sent() -> None:
    gateway = Objects()
    gateway.refused = ObjectKey(Kind.SERVICE, "s")
    results: list[Result] = []
    async for part in apply(plan(3), gateway, {}):
        results += part
    assert [result.sent for result in results] == [True, False, False, False]
    assert {result.error for result in results[1:]} == {"waits for services/s, which failed"}
    assert gateway.written == []


async def test_without_the_text_of_a_secret_its_object_is_not_sent_and_the_rest_is() -> None:
    gateway = Objects()
    steps = [
        created(Kind.ROUTE, "kept"),
        created(Kind.ROUTE, "lost", key=SecretRef("provider/1/api_key", "p")),
    ]
    parts = [part async for part in apply(Plan(ordered(steps)), gateway, {})]
    kept, lost = sorted((result for part in parts for result in part), key=lambda result: result.step.key.id)
    assert (kept.ok, lost.ok, lost.sent, lost.unreachable) == (True, False, False, False)
    assert "its secret provider/1/api_key cannot be opened" in (lost.error or "")
    assert gateway.written == [ObjectKey(Kind.ROUTE, "kept")]


async def test_a_gateway_that_is_gone_is_tried_a_few_times_whoever_waits_for_a_turn() -> None:
    gateway = Objects()
    gateway.gone = True
    routes = Plan(tuple(step for step in plan(MANY).steps if step.key.kind is Kind.ROUTE))
    results = [result async for part in apply(routes, gateway, {}) for result in part]
    assert IN_FLIGHT <= gateway.tried < 2 * IN_FLIGHT
    assert sum(result.sent for result in results) == gateway.tried
    assert (len(results), {result.unreachable for result in results}) == (MANY, {True})


async def test_a_fault_of_ours_ends_all_of_it() -> None:
    gateway = Objects()
    gateway.fault_after = 700
    with pytest.raises(ArithmeticError):
        [part async for part in apply(plan(MANY), gateway, {})]
    assert len(gateway.written) == 700
    assert asyncio.all_tasks() == {asyncio.current_task()}
