"""Drift: shown field by field, healed or only reported, and counted."""

import json
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from tests.fixtures.services import until
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import File, declared, queue

ROUTE = "routes/q.support"

# Any: JSON.


@pytest.fixture
async def reporting(world: World, ctl: Ctl, file: File) -> Ctl:
    """`ctl` with everything applied, on a gateway whose drift is only reported."""
    async with world.api() as api:
        (await api.patch("/api/v1/gateways/edge", json={"drift": "report"})).raise_for_status()
    code, _, err = await ctl("apply", *file.write(declared()), "--yes")
    assert code == ExitCode.OK, err
    return ctl


async def look(world: World) -> None:
    """Have the service look at the whole gateway, as its timer would, by making it pass anew."""
    before = (await world.status()).looked_at
    async with world.api() as api:
        traffic = {"traffic_url": f"http://127.0.0.1:{world.ports[0]}/{before.timestamp() if before else 0}"}
        (await api.patch("/api/v1/gateways/edge", json=traffic)).raise_for_status()

    async def looked() -> bool:
        return (await world.status()).looked_at != before

    await until(looked, "a look at the gateway")


async def metrics(world: World) -> dict[str, float]:
    async with world.api() as api:
        reply = await api.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line.rpartition(" ") for line in reply.text.splitlines() if not line.startswith("#")]
    return {name: float(number) for name, _, number in lines}


async def test_a_healing_gateway_is_put_back_and_what_was_found_is_counted(
    ctl: Ctl, file: File, world: World
) -> None:
    await ctl("apply", *file.write(declared()), "--yes")
    await world.edit(ROUTE, priority=7)
    await look(world)
    await world.in_state("converged")
    assert (await world.objects())[ROUTE]["priority"] == 100
    counted = await metrics(world)
    assert counted['sluice_gateway_drift_found_total{gateway="edge"}'] == 1
    assert counted['sluice_gateway_drift_objects{gateway="edge"}'] == 0
    assert counted['sluice_gateway_state{gateway="edge",state="converged"}'] == 1


async def test_a_reporting_gateway_is_left_alone_and_says_so_everywhere(
    reporting: Ctl, file: File, world: World
) -> None:
    await world.edit(ROUTE, priority=7)
    await look(world)
    status = await world.in_state("drifted")
    assert (status.drift, status.drift_found) == (1, 1)
    assert ROUTE in (status.error or "")
    assert (await world.objects())[ROUTE]["priority"] == 7
    counted = await metrics(world)
    assert counted['sluice_gateway_drift_objects{gateway="edge"}'] == 1
    code, out, _ = await reporting("plan", *file.options)
    assert code == ExitCode.DRIFT
    assert "by hand: priority: 100 → 7" in out
    await look(world)
    assert (await world.status()).drift_found == 1, "what stands is counted once"


async def test_what_is_declared_reaches_a_drifted_gateway_and_leaves_other_drift_alone(
    reporting: Ctl, world: World
) -> None:
    await world.edit(ROUTE, priority=7)
    await look(world)
    await world.in_state("drifted")
    async with world.api() as api:
        (await api.post("/api/v1/tenants", json={"name": "acme"})).raise_for_status()
        values: dict[str, Any] = queue("sales")
        (await api.post("/api/v1/queues", json=values)).raise_for_status()

    async def there() -> bool:
        return "routes/q.sales" in await world.objects()

    await until(there, "the new queue on the gateway")
    await world.in_state("drifted")
    assert (await world.objects())[ROUTE]["priority"] == 7


async def test_an_apply_undoes_the_drift_that_its_plan_told_of(
    reporting: Ctl, file: File, world: World
) -> None:
    await world.edit(ROUTE, priority=7)
    await look(world)
    await world.in_state("drifted")
    code, _, err = await reporting("apply", *file.options, "--yes")
    assert code == ExitCode.OK, err
    assert "undoing what was changed by hand" in err
    assert "routes/q.support  updated" in err
    assert (await world.objects())[ROUTE]["priority"] == 100
    assert (await reporting("drift"))[0] == ExitCode.OK
    assert (await world.status()).state == "converged"


async def test_drift_is_found_at_once_by_who_asks_and_undone_on_demand(reporting: Ctl, world: World) -> None:
    async with world.admin() as admin:
        (await admin.delete(ROUTE)).raise_for_status()
    await world.edit("plugin_configs/q.support", desc="mine")
    code, out, _ = await reporting("drift", "-o", "json")
    assert code == ExitCode.DRIFT
    steps = {step["object"]: step for step in json.loads(out)["gateways"][0]["steps"]}
    assert steps[ROUTE]["drift"] == [{"field": "", "before": "there", "after": "removed by hand"}]
    assert steps["plugin_configs/q.support"]["drift"][0]["field"] == "desc"
    assert (await reporting("drift", "--heal"))[0] == ExitCode.REFUSED
    code, _, err = await reporting("drift", "--heal", "--yes")
    assert code == ExitCode.OK, err
    left = await world.objects()
    assert ROUTE in left
    assert "desc" not in left["plugin_configs/q.support"]
    assert (await reporting("drift"))[0] == ExitCode.OK


async def test_what_others_put_there_with_our_label_is_drift_and_without_it_is_nobodys_business(
    reporting: Ctl, world: World
) -> None:
    theirs = {"uri": "/theirs", "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:9": 1}}}
    async with world.admin() as admin:
        (await admin.put("routes/theirs", json=theirs)).raise_for_status()
        labelled = {**theirs, "uri": "/ours", "labels": {"sluice-owner": "sluice"}}
        (await admin.put("routes/labelled", json=labelled)).raise_for_status()
    await look(world)
    assert (await world.in_state("drifted")).drift == 1
    code, out, _ = await reporting("drift")
    assert code == ExitCode.DRIFT
    assert "- routes/labelled" in out
    assert "routes/theirs" not in out
    assert (await reporting("drift", "--heal", "--yes"))[0] == ExitCode.OK
    left = await world.objects()
    assert "routes/labelled" not in left
    assert left["routes/theirs"]["uri"] == "/theirs"


async def test_an_object_of_others_is_refused_shown_and_taken_over_only_on_yes(
    ctl: Ctl, file: File, world: World
) -> None:
    theirs = {"uri": "/theirs", "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:9": 1}}}
    async with world.admin() as admin:
        (await admin.put(ROUTE, json=theirs)).raise_for_status()
    options = file.write(declared())
    for command in (("plan",), ("apply", "--yes")):
        code, out, err = await ctl(*command, *options)
        assert code == ExitCode.REFUSED
        assert f"{ROUTE}, which queue support needs, is on the gateway without our label" in out + err
        assert "ctl adopt" in out + err
    code, out, _ = await ctl("adopt", *options)
    assert code == ExitCode.REFUSED, "nobody agreed"
    assert f"~ {ROUTE} on gateway edge (queue support)" in out
    assert 'plugin_config_id: "q.support"' in out
    assert 'uri: "/theirs" → (absent)' in out, "whoever agrees must see what it is"
    assert (await world.objects())[ROUTE]["uri"] == "/theirs"
    assert (await ctl("adopt", *options, "--yes"))[0] == ExitCode.OK
    assert (await world.objects())[ROUTE]["uri"] == "/theirs"
    code, _, err = await ctl("apply", *options, "--yes")
    assert code == ExitCode.OK, err
    found = (await world.objects())[ROUTE]
    assert found["labels"]["sluice-owner"] == "sluice"
    assert "/v1/chat/completions/queue/support" in found["uris"]
    assert (await ctl("adopt"))[0] == ExitCode.OK


async def test_what_is_in_the_way_of_what_is_declared_is_taken_over_at_once(ctl: Ctl, world: World) -> None:
    theirs = {"uri": "/theirs", "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:9": 1}}}
    async with world.admin() as admin:
        (await admin.put(ROUTE, json=theirs)).raise_for_status()
    async with world.api() as api:
        (await api.post("/api/v1/apply", json=declared())).raise_for_status()
    await world.in_state("degraded")
    code, out, err = await ctl("adopt", "--yes")
    assert code == ExitCode.OK, err
    assert ROUTE in out
    assert (await world.objects())[ROUTE]["labels"]["sluice-owner"] == "sluice"
    async with world.api() as api:
        rows = (await api.get("/api/v1/audit?action=adopt")).json()["items"]
    assert rows[0]["after"] == {"adopted": [ROUTE]}
