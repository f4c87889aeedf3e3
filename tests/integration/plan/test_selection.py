"""Queues that select gateways by label, on two real gateways."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from cli.exit_codes import ExitCode
from controlplane.core.gateways import GatewaySpec
from controlplane.store.records import Kind
from tests.fixtures.services import until
from tests.fixtures.stores import AUTHOR
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World, addressed
from tests.integration.plan.conftest import File, declared, queue

# Any: JSON.


@pytest.fixture
async def ctl(
    world: World, america: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Ctl]:
    """`ctl` beside a service with the gateways `edge`, in Europe, and `us`."""
    parts = {"name": "us", "admin_url": america, "admin_key": ADMIN_KEY, "labels": {"region": "us"}}
    await world.declare_gateway(labels={"region": "eu"}, traffic_url="http://eu.example")
    await world.store.create(Kind.GATEWAY, GatewaySpec.model_validate(parts), AUTHOR)
    with capture_logs():
        async with world.served():
            addressed(world, monkeypatch)
            yield Ctl(world, capsys)


async def routes(url: str) -> set[str]:
    """The routes on a gateway."""
    headers = {"X-API-KEY": ADMIN_KEY}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as admin:
        listed = (await admin.get("/apisix/admin/routes")).json()["list"]
    return {item["value"]["id"] for item in listed}


def in_region(region: str, **parts: Any) -> dict[str, Any]:
    return declared(queues=[queue(gateways={"region": region}, **parts), queue("everywhere")])


async def test_a_queue_is_served_by_the_gateways_that_it_selects_and_moves_with_its_labels(
    ctl: Ctl, file: File, world: World, america: str
) -> None:
    europe = f"http://127.0.0.1:{world.ports[1]}"
    assert (await ctl("apply", *file.write(in_region("eu")), "--yes"))[0] == ExitCode.OK
    assert "q.support" in await routes(europe)
    assert await routes(america) == {"q.everywhere", "q.everywhere.model", "p.mock"}

    moved = file.write(in_region("us"))
    code, out, _ = await ctl("plan", *moved, "-o", "json")
    assert code == ExitCode.CHANGES
    (change,) = json.loads(out)["changes"]
    assert change["fields"] == [{"field": "gateways.region", "before": '"eu"', "after": '"us"'}]
    assert change["warnings"] == [
        "leaves every gateway without region=us: calls are answered 404 there from then on"
    ]
    steps = {
        (gateway["name"], step["action"])
        for gateway in json.loads(out)["gateways"]
        for step in gateway["steps"]
        if step["kind"] == "routes"
    }
    assert steps == {("edge", "delete"), ("us", "create")}
    assert (await ctl("apply", *moved, "--yes"))[0] == ExitCode.OK
    assert "q.support" in await routes(america)
    assert await routes(europe) == {"q.everywhere", "q.everywhere.model", "p.mock"}
    assert (await ctl("plan", *moved, "--refresh"))[0] == ExitCode.OK


async def test_a_gateway_that_is_given_another_label_gets_the_queues_of_it(
    ctl: Ctl, file: File, world: World, america: str
) -> None:
    await ctl("apply", *file.write(in_region("eu")), "--yes")
    async with world.api() as api:
        patched = await api.patch("/api/v1/gateways/us", json={"labels": {"region": "eu"}})
        patched.raise_for_status()

    async def served() -> bool:
        return "q.support" in await routes(america)

    await until(served, "the queue on the gateway that has its label now")


async def test_a_queue_that_selects_no_gateway_is_a_warning_of_every_plan(ctl: Ctl, file: File) -> None:
    options = file.write(in_region("mars"))
    told = "queue support selects no gateway: none has region=mars, so it is served nowhere"
    for _ in range(2):
        _, out, _ = await ctl("plan", *options, "-o", "json")
        assert told in json.loads(out)["warnings"]
        _, out, _ = await ctl("plan", *options)
        assert told in out
        await ctl("apply", *options, "--yes")


async def test_what_a_queue_selects_is_described_exported_and_in_the_history(
    ctl: Ctl, file: File, world: World
) -> None:
    await ctl("apply", *file.write(in_region("us")), "--yes")
    _, out, _ = await ctl("describe", "queue", "support")
    assert "region=us" in out
    assert "http://eu.example" not in out
    _, out, _ = await ctl("export")
    assert "region: us" in out
    await ctl("apply", *file.write(in_region("eu")), "--yes")
    _, out, _ = await ctl("describe", "queue", "support")
    assert "http://eu.example/queues/support/v1" in out


async def test_a_gateway_that_is_away_holds_up_no_move_on_the_others(
    ctl: Ctl, file: File, world: World, america: str
) -> None:
    await ctl("apply", *file.write(in_region("eu")), "--yes")
    await world.stop_gateway()
    code, _, _ = await ctl("apply", *file.write(in_region("us")), "--yes", "--timeout", "5")
    assert code == ExitCode.PARTLY_APPLIED
    assert "q.support" in await routes(america)


async def test_a_rollback_brings_a_queue_back_to_where_it_was_served(
    ctl: Ctl, file: File, world: World, america: str
) -> None:
    await ctl("apply", *file.write(in_region("eu")), "--yes")
    _, out, _ = await ctl("history", "-o", "json")
    there = str(json.loads(out)[0]["id"])
    await ctl("apply", *file.write(in_region("us")), "--yes")
    _, out, _ = await ctl("show", str(int(there) + 1))
    assert "gateways" in out
    assert (await ctl("rollback", there, "--yes"))[0] == ExitCode.OK
    assert "q.support" in await routes(f"http://127.0.0.1:{world.ports[1]}")
    assert "q.support" not in await routes(america)
