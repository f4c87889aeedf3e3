"""Gateways that are written all at once: plans, drift, prune and adoption work as on any other."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from tests.fixtures.apisix_file import ApisixFile
from tests.fixtures.services import until
from tests.fixtures.standalone import standalone
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, File, declared, queue
from tests.integration.plan.whole import (
    APPLY,
    ROUTE,
    THEIRS,
    WholeGateway,
    applied,
    ctl_with,
    nothing_is_left,
)

THEIR_UPSTREAM = {"id": "u", "nodes": {"127.0.0.1:1": 1}}


@pytest.fixture(params=["apisix-standalone", "apisix-yaml"])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[WholeGateway]:
    if request.param == "apisix-yaml":
        yield ApisixFile(tmp_path / "gateways")
        return
    async with standalone() as made:
        yield made


@pytest.fixture
async def ctl(
    world: World, gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Ctl]:
    async with ctl_with(gateway, world, monkeypatch, capsys) as made:
        yield made


async def test_an_apply_is_one_write_and_then_there_is_nothing_to_do(
    ctl: Ctl, file: File, gateway: WholeGateway
) -> None:
    code, out, _ = await ctl("plan", *file.write(declared()))
    assert code == ExitCode.CHANGES
    assert PROVIDER_KEY not in out
    before = gateway.writes
    await applied(ctl, file, declared())
    assert gateway.writes == before + 1
    assert ROUTE in gateway.objects()
    assert CLIENT_KEY in json.dumps(gateway.objects())
    await nothing_is_left(ctl, file)
    await applied(ctl, file, declared(queues=[queue(tokens=70)]))
    assert gateway.writes == before + 2
    await nothing_is_left(ctl, file)


async def test_objects_of_others_stay_and_a_prune_removes_ours_alone(
    ctl: Ctl, file: File, gateway: WholeGateway
) -> None:
    gateway.add("routes", THEIRS)
    gateway.add("upstreams", THEIR_UPSTREAM)
    await applied(ctl, file, declared(queues=[queue(), queue("second")]))
    await applied(ctl, file, declared(), "--prune")
    assert gateway.objects()["routes/theirs"] == THEIRS
    assert gateway.objects()["upstreams/u"] == THEIR_UPSTREAM
    assert not [path for path in gateway.objects() if "second" in path]
    await nothing_is_left(ctl, file)


async def test_an_edit_by_hand_is_shown_as_drift_and_undone(
    ctl: Ctl, file: File, gateway: WholeGateway
) -> None:
    await applied(ctl, file, declared())
    gateway.edit(ROUTE, priority=7)
    gateway.remove("routes/q.support.model")
    code, out, _ = await ctl("drift")
    assert code == ExitCode.DRIFT
    assert "by hand: priority: 100 → 7" in out
    assert "removed by hand" in out
    code, _, err = await ctl("drift", "--heal", *APPLY)
    assert code == ExitCode.OK, err
    assert gateway.objects()[ROUTE]["priority"] == 100
    await nothing_is_left(ctl, file)


async def test_what_stands_in_the_way_is_refused_until_it_is_adopted(
    ctl: Ctl, file: File, gateway: WholeGateway
) -> None:
    gateway.add("routes", {"id": "q.support", "uri": "/theirs"})
    before = gateway.objects()
    code, out, err = await ctl("apply", *file.write(declared()), *APPLY)
    assert code == ExitCode.REFUSED
    assert "ctl adopt" in out + err
    assert gateway.objects() == before
    assert (await ctl("adopt", *file.options, "--yes"))[0] == ExitCode.OK
    await applied(ctl, file, declared())
    assert gateway.objects()[ROUTE]["labels"]["sluice-owner"] == "sluice"
    await nothing_is_left(ctl, file)


async def test_a_gateway_that_came_back_empty_is_given_everything_again(
    ctl: Ctl, file: File, gateway: WholeGateway, world: World
) -> None:
    await applied(ctl, file, declared())
    gateway.restart()
    async with world.api() as api:
        (await api.patch("/api/v1/gateways/edge", json={"labels": {"now": "looked-at"}})).raise_for_status()

    async def again() -> bool:
        return ROUTE in gateway.objects()

    await until(again, "everything on the gateway again")
    await world.in_state("converged")
    await nothing_is_left(ctl, file)


async def test_what_needs_a_plugin_is_refused_until_the_gateway_is_declared_to_have_it(
    ctl: Ctl, file: File, gateway: WholeGateway, world: World
) -> None:
    bucket = declared(queues=[queue(limits=[{"tokens": 100, "refill_per_s": 1}])])
    code, out, err = await ctl("plan", *file.write(bucket))
    assert code == ExitCode.ERROR
    assert "token-budget" in out + err
    async with world.api() as api:
        (await api.patch("/api/v1/gateways/edge", json={"plugins": ["token-budget"]})).raise_for_status()

    async def known() -> bool:
        return (await ctl("plan", *file.options))[0] == ExitCode.CHANGES

    await until(known, "the plugin to be known")
    await applied(ctl, file, bucket)


async def test_the_table_of_gateways_tells_kinds_and_labels(
    ctl: Ctl, gateway: WholeGateway, world: World
) -> None:
    async with world.api() as api:
        (await api.patch("/api/v1/gateways/edge", json={"labels": {"region": "eu"}})).raise_for_status()
    _, out, _ = await ctl("get", "gateways")
    heads, row = out.splitlines()[:2]
    assert "KIND" in heads
    assert gateway.declared["kind"] in row
    assert "region=eu" in row
