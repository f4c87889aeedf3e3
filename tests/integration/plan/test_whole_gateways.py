"""Gateways that are written all at once: plans, drift, prune and adoption work as on any other."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from cli.exit_codes import ExitCode
from tests.fixtures.services import until
from tests.fixtures.standalone import StandaloneApisix, standalone
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World, addressed
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, File, declared, queue

# Any: the JSON of gateway objects.

ROUTE = "routes/q.support"
APPLY = ("--yes", "--timeout", "30")
THEIRS = {"id": "theirs", "uri": "/theirs"}


@pytest.fixture
async def gateway() -> AsyncIterator[StandaloneApisix]:
    async with standalone() as made:
        yield made


@pytest.fixture
async def ctl(
    world: World,
    gateway: StandaloneApisix,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> AsyncIterator[Ctl]:
    """`ctl` beside the service, whose gateway is such a one."""
    await world.declare_gateway(kind="apisix-standalone", admin_url=gateway.url, admin_key=ADMIN_KEY)
    with capture_logs():
        async with world.served():
            addressed(world, monkeypatch)
            await world.in_state("converged")
            yield Ctl(world, capsys)


async def applied(ctl: Ctl, file: File, values: dict[str, Any], *options: str) -> None:
    code, _, err = await ctl("apply", *file.write(values), *APPLY, *options)
    assert code == ExitCode.OK, err


async def nothing_is_left(ctl: Ctl, file: File) -> None:
    code, out, _ = await ctl("plan", *file.options, "--refresh")
    assert (code, out.strip()) == (ExitCode.OK, "nothing to do")


async def test_an_apply_is_one_write_and_then_there_is_nothing_to_do(
    ctl: Ctl, file: File, gateway: StandaloneApisix
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
    ctl: Ctl, file: File, gateway: StandaloneApisix
) -> None:
    gateway.add("routes", THEIRS)
    gateway.add("upstreams", {"id": "u", "nodes": {"127.0.0.1:1": 1}})
    await applied(ctl, file, declared(queues=[queue(), queue("second")]))
    await applied(ctl, file, declared(), "--prune")
    assert gateway.objects()["routes/theirs"] == THEIRS
    assert gateway.config["upstreams"] == [{"id": "u", "nodes": {"127.0.0.1:1": 1}}]
    assert not [path for path in gateway.objects() if "second" in path]
    await nothing_is_left(ctl, file)


async def test_an_edit_by_hand_is_shown_as_drift_and_undone(
    ctl: Ctl, file: File, gateway: StandaloneApisix
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
    ctl: Ctl, file: File, gateway: StandaloneApisix
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


async def test_an_object_that_the_gateway_refuses_fails_alone_and_a_second_run_completes(
    ctl: Ctl, file: File, gateway: StandaloneApisix
) -> None:
    gateway.wrong_with = lambda _, item: "a bad plugin" if "/second" in json.dumps(item) else None
    both = declared(queues=[queue(), queue("second")])
    code, _, err = await ctl("apply", *file.write(both), *APPLY)
    assert code == ExitCode.PARTLY_APPLIED
    assert "a bad plugin" in err
    assert ROUTE in gateway.objects()
    assert "routes/q.second" not in gateway.objects()
    gateway.wrong_with = lambda *_: None
    await applied(ctl, file, both)
    assert "routes/q.second" in gateway.objects()
    await nothing_is_left(ctl, file)


@pytest.mark.parametrize("status", [500, 400, 401])
async def test_a_write_that_fails_leaves_everything_as_it_was_and_a_second_run_completes(
    ctl: Ctl, file: File, gateway: StandaloneApisix, status: int
) -> None:
    before = gateway.objects()
    gateway.answers = lambda method, _: status if method == "PUT" else None
    code, _, err = await ctl("apply", *file.write(declared()), "--yes", "--timeout", "1")
    assert code == ExitCode.PARTLY_APPLIED
    assert PROVIDER_KEY not in err
    assert gateway.objects() == before
    gateway.answers = lambda *_: None
    await applied(ctl, file, declared())
    await nothing_is_left(ctl, file)


async def test_a_write_whose_reply_is_lost_counts(ctl: Ctl, file: File, gateway: StandaloneApisix) -> None:
    gateway.forgets_reply = True
    await applied(ctl, file, declared())
    await nothing_is_left(ctl, file)


async def test_a_write_of_somebody_else_in_between_is_kept(
    ctl: Ctl, file: File, gateway: StandaloneApisix
) -> None:
    def meanwhile(held: StandaloneApisix) -> None:
        held.just_before = lambda _: None
        held.add("routes", THEIRS)

    gateway.just_before = meanwhile
    await applied(ctl, file, declared())
    assert gateway.objects()["routes/theirs"] == THEIRS
    await nothing_is_left(ctl, file)


async def test_a_gateway_that_came_back_empty_is_given_everything_again(
    ctl: Ctl, file: File, gateway: StandaloneApisix, world: World
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


async def test_the_gateway_is_asked_before_and_says_what_it_would_not_take(
    ctl: Ctl, file: File, gateway: StandaloneApisix
) -> None:
    before = gateway.writes
    gateway.wrong_with = lambda section, _: "a bad route" if section == "routes" else None
    code, out, err = await ctl("plan", *file.write(declared()), "--validate-on-gateway")
    assert code == ExitCode.REFUSED
    assert "a bad route" in out + err
    assert gateway.writes == before


async def test_what_needs_a_plugin_is_refused_until_the_gateway_is_declared_to_have_it(
    ctl: Ctl, file: File, gateway: StandaloneApisix, world: World
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


async def test_what_others_declared_there_can_be_imported(ctl: Ctl, gateway: StandaloneApisix) -> None:
    member = {"name": "main", "provider": "openai", "weight": 1, "options": {"model": "m"}}
    plugins = {"ai-proxy-multi": {"instances": [member]}}
    gateway.add("routes", {"id": "chat", "uri": "/chat", "plugins": plugins})
    code, out, _ = await ctl("import", "--from-gateway", "edge")
    assert code == ExitCode.OK
    assert "model: m" in out


async def test_the_table_of_gateways_tells_kinds_and_labels(ctl: Ctl, world: World) -> None:
    async with world.api() as api:
        (await api.patch("/api/v1/gateways/edge", json={"labels": {"region": "eu"}})).raise_for_status()
    _, out, _ = await ctl("get", "gateways")
    heads, row = out.splitlines()[:2]
    assert "KIND" in heads
    assert "apisix-standalone" in row
    assert "region=eu" in row
