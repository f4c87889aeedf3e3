"""Gateways in files: declared beside the queues that select them, changed, and never forgotten unasked."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import yaml
from structlog.testing import capture_logs

from cli.exit_codes import ExitCode
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World, addressed
from tests.integration.plan.conftest import File, declared, queue

# Any: JSON.

REDIS = "redis://127.0.0.1:6379/3"


@pytest.fixture
async def ctl(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Ctl]:
    """`ctl` beside a service that knows no gateway."""
    with capture_logs():
        async with world.served():
            addressed(world, monkeypatch)
            yield Ctl(world, capsys)


def sited(*gateways: dict[str, Any], **parts: Any) -> dict[str, Any]:
    queues = [queue(gateways={"region": "us"}), queue("everywhere")]
    return declared(**{"gateways": list(gateways), "queues": queues, **parts})


def at(name: str, url: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "admin_url": url, "admin_key": ADMIN_KEY, **parts}


async def routes(url: str) -> set[str]:
    """The routes on a gateway."""
    headers = {"X-API-KEY": ADMIN_KEY}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as admin:
        listed = (await admin.get("/apisix/admin/routes")).json()["list"]
    return {item["value"]["id"] for item in listed}


@pytest.fixture
def both(world: World, america: str) -> list[dict[str, Any]]:
    """The gateways `eu` and `us`."""
    europe = f"http://127.0.0.1:{world.ports[1]}"
    return [at("eu", europe, labels={"region": "eu"}), at("us", america, labels={"region": "us"})]


async def applied(ctl: Ctl, file: File, values: dict[str, Any], *options: str) -> None:
    code, _, err = await ctl("apply", *file.write(values), "--yes", "--timeout", "60", *options)
    assert code == ExitCode.OK, err


async def test_one_file_declares_gateways_and_the_queues_that_select_them(
    ctl: Ctl, file: File, both: list[dict[str, Any]]
) -> None:
    options = file.write(sited(*both))
    code, out, _ = await ctl("plan", *options, "-o", "json")
    assert code == ExitCode.CHANGES
    assert ADMIN_KEY not in out
    plan = json.loads(out)
    assert plan["refusals"] == []
    assert {(each["kind"], each["name"]) for each in plan["changes"]} >= {
        *(("gateway", "eu"), ("gateway", "us"), ("queue", "support"))
    }
    steps = {each["name"]: {step["object"] for step in each["steps"]} for each in plan["gateways"]}
    assert "routes/q.support" in steps["us"]
    assert "routes/q.support" not in steps["eu"]
    why = "it is new, and is asked once it is declared"
    assert f"gateway us could not be looked at: {why}" in plan["warnings"]
    await applied(ctl, file, sited(*both))
    served = [await routes(each["admin_url"]) for each in both]
    assert ["q.support" in each for each in served] == [False, True]
    assert all("q.everywhere" in each for each in served)
    for prune in ((), ("--prune",)):
        assert (await ctl("plan", *options, "--refresh", *prune))[0] == ExitCode.OK


async def test_another_label_in_the_file_moves_queues_and_the_plan_says_so(
    ctl: Ctl, file: File, both: list[dict[str, Any]]
) -> None:
    await applied(ctl, file, sited(*both))
    swapped = [{**both[0], "labels": {"region": "us"}}, {**both[1], "labels": {"region": "eu"}}]
    options = file.write(sited(*swapped))
    code, out, _ = await ctl("plan", *options, "-o", "json")
    assert code == ExitCode.CHANGES
    plan = json.loads(out)
    moves = {
        (each["name"], step["action"])
        for each in plan["gateways"]
        for step in each["steps"]
        if step["object"] == "routes/q.support"
    }
    assert moves == {("eu", "create"), ("us", "delete")}
    await applied(ctl, file, sited(*swapped))
    assert ["q.support" in await routes(each["admin_url"]) for each in both] == [True, False]
    assert (await ctl("plan", *options, "--refresh"))[0] == ExitCode.OK


async def test_a_prune_forgets_a_gateway_with_objects_only_where_that_is_agreed_to(
    ctl: Ctl, file: File, both: list[dict[str, Any]]
) -> None:
    await applied(ctl, file, sited(*both))
    less = sited(both[0], queues=[queue("everywhere")], keys=[])
    assert (await ctl("plan", *file.write(less)))[0] == ExitCode.OK, "without --prune nothing goes"
    code, out, _ = await ctl("plan", *file.write(less), "--prune")
    assert code == ExitCode.REFUSED
    assert "gateways.us: still holds" in out
    assert "--allow-leftovers" in out
    await applied(ctl, file, less, "--prune", "--allow-leftovers")
    _, out, _ = await ctl("get", "gateways", "-o", "json")
    assert [each["name"] for each in json.loads(out)] == ["eu"]
    assert "q.support" in await routes(both[1]["admin_url"]), "what is on it stays"


async def test_a_file_without_gateways_prunes_none_and_a_protected_one_stays(
    ctl: Ctl, file: File, both: list[dict[str, Any]]
) -> None:
    await applied(ctl, file, sited(both[0], {**both[1], "protect": True}))
    plain = declared(queues=[queue("everywhere")], keys=[])
    code, out, _ = await ctl("plan", *file.write(plain), "--prune", "-o", "json")
    assert code == ExitCode.CHANGES
    assert {each["kind"] for each in json.loads(out)["changes"]} == {"queue", "key"}
    less = sited(both[0], queues=[queue("everywhere")], keys=[])
    _, out, _ = await ctl("plan", *file.write(less), "--prune", "-o", "json")
    assert json.loads(out)["protected"] == ["gateway us"]
    assert json.loads(out)["refusals"] == []


async def test_another_address_is_another_gateway_and_nothing_of_the_old_one_is_touched(
    ctl: Ctl, file: File, both: list[dict[str, Any]], world: World
) -> None:
    eu, us = both
    await applied(ctl, file, sited({**us, "name": "only"}))
    moved = sited({**eu, "name": "only", "labels": {"region": "us"}})
    _, out, _ = await ctl("plan", *file.write(moved))
    assert "is another gateway from then on" in out
    await applied(ctl, file, moved)
    assert "q.support" in await routes(us["admin_url"])
    assert "q.support" in await routes(eu["admin_url"])


async def test_what_is_exported_declares_the_gateways_too_and_changes_nothing(
    ctl: Ctl, file: File, both: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await applied(ctl, file, sited(both[0], {**both[1], "redis_url": REDIS}))
    code, out, _ = await ctl("export")
    assert code == ExitCode.OK
    gateways = yaml.safe_load(out)["gateways"]
    assert [(each["name"], each["admin_key"]) for each in gateways] == [("eu", "***"), ("us", "***")]
    file.path.write_text(out)
    assert (await ctl("plan", *file.options, "--prune"))[0] == ExitCode.OK
    _, out, err = await ctl("export", "--secrets", "env")
    assert "set US_REDIS_URL before this is applied" in err
    for name, value in (("EU_ADMIN_KEY", ADMIN_KEY), ("US_ADMIN_KEY", ADMIN_KEY), ("US_REDIS_URL", REDIS)):
        assert f"${{env:{name}}}" in out
        monkeypatch.setenv(name, value)


async def test_a_gateway_of_another_source_and_a_literal_key_are_refused(
    ctl: Ctl, file: File, world: World, america: str
) -> None:
    await world.declare_gateway()
    code, out, _ = await ctl("plan", *file.write(sited(at("edge", america))))
    assert code == ExitCode.REFUSED
    assert "gateways.edge: belongs to source" in out
    options = file.write(sited(at("us", america, redis_url="redis://:pass-word@127.0.0.1/0")))
    code, _, err = await ctl("plan", *options[:2])
    assert code == ExitCode.ERROR
    assert "admin_key is written out in the file" in err
    assert "redis_url is written out in the file" in err
    assert "pass-word" not in err
    _, out, err = await ctl("export")
    assert "nothing" not in out + err
    assert "--source default" not in err, "it is the only source there is"


async def test_gateways_that_a_file_declares_need_the_permission_for_gateways(
    ctl: Ctl, world: World, america: str
) -> None:
    async with world.api() as api:
        values = {"kind": "service", "name": "editor", "role": "editor"}
        made = await api.post("/api/v1/accounts", json=values)
        assert made.status_code == 201, made.text
        tokens = await api.post("/api/v1/accounts/editor/tokens", json={"label": "ci"})
        headers = {"Authorization": f"Bearer {tokens.json()['text']}"}
        document = {"gateways": [at("us", america)]}
        refused = await api.post("/api/v1/apply", json=document, headers=headers)
        assert refused.status_code == 403, refused.text
        assert (await api.post("/api/v1/plan", json=document, headers=headers)).status_code == 200
