"""A standalone APISIX behind its API: what it refuses, what it forgets, and who else writes to it."""

import json
from collections.abc import AsyncIterator

import pytest
import yaml

from cli.exit_codes import ExitCode
from tests.fixtures.standalone import StandaloneApisix, standalone
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World
from tests.integration.plan.conftest import PROVIDER_KEY, File, declared, queue
from tests.integration.plan.whole import APPLY, ROUTE, THEIRS, applied, ctl_with, nothing_is_left


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
    async with ctl_with(gateway, world, monkeypatch, capsys) as made:
        yield made


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


async def test_the_gateway_is_asked_before_and_says_what_it_would_not_take(
    ctl: Ctl, file: File, gateway: StandaloneApisix
) -> None:
    before = gateway.writes
    gateway.wrong_with = lambda section, _: "a bad route" if section == "routes" else None
    code, out, err = await ctl("plan", *file.write(declared()), "--validate-on-gateway")
    assert code == ExitCode.REFUSED
    assert "a bad route" in out + err
    assert gateway.writes == before


async def test_what_others_declared_there_can_be_imported(ctl: Ctl, gateway: StandaloneApisix) -> None:
    member = {"name": "main", "provider": "openai", "weight": 1, "options": {"model": "m"}}
    plugins = {"ai-proxy-multi": {"instances": [member]}}
    gateway.add("routes", {"id": "chat", "uri": "/chat", "plugins": plugins})
    code, out, _ = await ctl("import", "--from-gateway", "edge")
    assert code == ExitCode.OK
    assert "model: m" in out


async def test_a_standalone_gateway_that_no_service_knows_is_imported_by_its_url(
    ctl: Ctl, gateway: StandaloneApisix, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = {"name": "main", "provider": "openai", "weight": 1, "options": {"model": "m"}}
    instance["auth"] = {"header": {"Authorization": f"Bearer {PROVIDER_KEY}"}}
    chat = {"id": "chat", "uri": "/chat", "plugins": {"ai-proxy-multi": {"instances": [instance]}}}
    gateway.add("routes", chat)
    gateway.add("routes", THEIRS)
    monkeypatch.setenv("APISIX_ADMIN_KEY", ADMIN_KEY)
    code, out, err = await ctl("import", "--from-gateway", gateway.declared["admin_url"])
    assert code == ExitCode.OK, err
    assert [queue["name"] for queue in yaml.safe_load(out)["queues"]] == ["chat"]
    assert "not carried over: routes/theirs: is no route to an LLM" in err
