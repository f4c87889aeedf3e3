"""What is sent to a gateway that takes everything in one write, and what becomes of each object."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from controlplane.core.objects import GatewayObject, Kind, ObjectKey, body_hash, packed
from controlplane.core.plan import Action, Plan, Reason, Step, ordered
from controlplane.core.secrets import SecretRef
from controlplane.errors import GatewayRefused, GatewayUnavailable, SluiceError
from controlplane.reconciler.applying import Result, apply

SERVICE, ROUTE = ObjectKey(Kind.SERVICE, "s"), ObjectKey(Kind.ROUTE, "r")
OTHER, OLD = ObjectKey(Kind.ROUTE, "other"), ObjectKey(Kind.ROUTE, "old")
SECRET = SecretRef("provider/1/api_key", "print")

# Any: bodies of gateway objects.


class Batches:
    """The write side of such a gateway."""

    def __init__(self, *, broken: Mapping[ObjectKey, str], left_out: Mapping[ObjectKey, str]) -> None:
        self.read_stamp: str | None = None
        self.trouble: SluiceError | None = None
        self.seen: list[dict[ObjectKey, Any]] = []
        self.not_to_be_told: dict[ObjectKey, frozenset[str]] = {}
        self._broken = broken
        self._left_out = left_out

    async def check(self, _: Any) -> Mapping[ObjectKey, str]:
        return self._broken

    async def write_all(self, writes: Sequence[Any]) -> Mapping[ObjectKey, str]:
        if self.trouble:
            raise self.trouble
        self.seen.append({write.key: write.body for write in writes})
        self.not_to_be_told |= {write.key: write.secrets for write in writes}
        return self._left_out

    async def _nothing(self, *_: Any) -> Any:
        raise AssertionError("nothing else is asked")

    capabilities = read = stamp = find = last_uses = validate = close = _nothing


def gateway_with(
    broken: Mapping[ObjectKey, str] | None = None, left_out: Mapping[ObjectKey, str] | None = None
) -> Batches:
    return Batches(broken=broken or {}, left_out=left_out or {})


def wanted(key: ObjectKey, body: dict[str, Any]) -> Step:
    item = GatewayObject(key, packed(body), body_hash({}), "queue support")
    return Step(Action.CREATE, key, Reason.DECLARED, item)


PLAN = Plan(
    ordered(
        [
            wanted(ROUTE, {"uri": "/a", "service_id": "s"}),
            wanted(OTHER, {"uri": "/b", "key": SECRET}),
            wanted(SERVICE, {"name": "s"}),
            Step(Action.DELETE, OLD, Reason.WITHDRAWN),
        ]
    )
)


async def applied(gateway: Batches, secrets: Mapping[str, str]) -> dict[ObjectKey, Result]:
    (results,) = [results async for results in apply(PLAN, gateway, secrets)]
    return {result.step.key: result for result in results}


async def test_everything_goes_in_one_batch_with_its_secrets() -> None:
    gateway = gateway_with()
    results = await applied(gateway, {SECRET.name: "sk-secret"})
    assert all(result.ok and result.sent for result in results.values())
    (batch,) = gateway.seen
    assert batch[OTHER] == {"uri": "/b", "key": "sk-secret"}
    assert batch.keys() == {SERVICE, ROUTE, OTHER, OLD}
    assert batch[OLD] is None
    assert gateway.not_to_be_told == {
        **dict.fromkeys((SERVICE, ROUTE, OLD), frozenset()),
        OTHER: frozenset({"sk-secret"}),
    }


async def test_what_the_gateway_would_refuse_stays_out_of_the_batch_with_what_needs_it() -> None:
    gateway = gateway_with(broken={SERVICE: "no such plugin"})
    results = await applied(gateway, {SECRET.name: "sk-secret"})
    assert results[SERVICE].error == "no such plugin"
    assert results[ROUTE].error == "waits for services/s, which failed"
    assert not results[SERVICE].sent
    assert gateway.seen[0].keys() == {OTHER, OLD}


async def test_what_the_driver_leaves_out_failed_and_the_rest_is_done() -> None:
    results = await applied(gateway_with(left_out={OLD: "still used"}), {SECRET.name: "sk-secret"})
    assert [(key, result.error) for key, result in results.items() if not result.ok] == [(OLD, "still used")]


async def test_without_the_text_of_a_secret_its_object_is_not_written() -> None:
    gateway = gateway_with()
    results = await applied(gateway, {})
    assert "cannot be opened" in (results[OTHER].error or "")
    assert gateway.seen[0].keys() == {SERVICE, ROUTE, OLD}


@pytest.mark.parametrize("gone", [True, False])
async def test_when_the_write_fails_everything_in_it_failed(gone: bool) -> None:
    gateway = gateway_with()
    text = "it does not like this"
    gateway.trouble = GatewayUnavailable(text) if gone else GatewayRefused(text, status=400)
    results = await applied(gateway, {SECRET.name: "sk-secret"})
    assert {result.error for result in results.values()} == {text}
    assert {result.unreachable for result in results.values()} == {gone}
