"""A declaration that changed nothing is known again, and answered as if it had been sent whole."""

import json
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from controlplane.api.known import DIGEST_HEADER
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import PROVIDER_KEY, File, declared, queue

# Any: JSON.


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that `ctl` reads as YAML from now on."""
    import cli.declaration

    whole = cli.declaration.read_declaration
    seen: list[str] = []

    def noted(files: Any, *rest: Any, **options: Any) -> Any:
        seen.extend(files)
        return whole(files, *rest, **options)

    monkeypatch.setattr(cli.declaration, "read_declaration", noted)
    return seen


async def planned(ctl: Ctl, *options: str, ends: ExitCode = ExitCode.OK) -> dict[str, Any]:
    code, out, err = await ctl("plan", *options, "-o", "json")
    assert code == ends, err
    plan: dict[str, Any] = json.loads(out)
    plan.pop("made_at")
    return plan


async def test_what_was_applied_is_known(ctl: Ctl, file: File, read: list[str]) -> None:
    options = file.write(declared())
    await ctl("apply", *options, "--yes")
    read.clear()
    plan = await planned(ctl, *options)
    assert (read, plan["changes"]) == ([], [])


async def test_a_key_that_was_made_up_is_looked_at_once_more(ctl: Ctl, file: File, read: list[str]) -> None:
    options = file.write(declared(keys=[{"name": "web", "queues": ["support"]}]))
    code, _, err = await ctl("apply", *options, "--yes", "--keys-out", str(file.path.parent / "keys"))
    assert code == ExitCode.OK, err
    read.clear()
    await planned(ctl, *options)
    assert len(read) == 1


async def test_the_second_plan_of_what_changed_nothing_reads_no_yaml(
    ctl: Ctl, file: File, read: list[str]
) -> None:
    options = file.write(declared())
    await ctl("apply", *options, "--yes")
    file.path.write_text(file.path.read_text() + "\n# the same in other words\n")
    read.clear()
    first = await planned(ctl, *options)
    assert len(read) == 1
    assert await planned(ctl, *options) == first
    assert len(read) == 1


async def test_another_file_is_read_and_planned(ctl: Ctl, file: File, read: list[str]) -> None:
    options = file.write(declared())
    await ctl("apply", *options, "--yes")
    await planned(ctl, *options)
    read.clear()
    file.write(declared(queues=[queue(tokens=101)]))
    plan = await planned(ctl, *options, ends=ExitCode.CHANGES)
    assert [change["name"] for change in plan["changes"]] == ["support"]
    await planned(ctl, *options, ends=ExitCode.CHANGES)
    assert len(read) == 2


async def test_another_value_behind_a_reference_is_read_and_planned(
    ctl: Ctl, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_TEST_PROVIDER_KEY", "sk-first-canary")
    provider = {"name": "mock", "type": "openai", "api_key": "${env:SLUICE_TEST_PROVIDER_KEY}"}
    options = file.write(declared(providers=[provider]))
    await ctl("apply", *options, "--yes")
    await planned(ctl, *options)
    await planned(ctl, *options)
    monkeypatch.setenv("SLUICE_TEST_PROVIDER_KEY", "sk-second-canary")
    plan = await planned(ctl, *options, ends=ExitCode.CHANGES)
    assert [change["name"] for change in plan["changes"]] == ["mock"]


async def test_what_somebody_else_declares_is_noticed(ctl: Ctl, file: File, world: World) -> None:
    options = file.write(declared())
    await ctl("apply", *options, "--yes")
    await planned(ctl, *options)
    async with world.api() as api:
        limits = [{"tokens": 7, "per": "1m"}]
        (await api.patch("/api/v1/queues/support", json={"limits": limits})).raise_for_status()
    plan = await planned(ctl, *options, ends=ExitCode.CHANGES)
    assert [change["name"] for change in plan["changes"]] == ["support"]


async def test_drift_is_found_although_the_declaration_is_known(ctl: Ctl, file: File, world: World) -> None:
    options = file.write(declared())
    await ctl("apply", *options, "--yes")
    await planned(ctl, *options, "--refresh")
    await planned(ctl, *options, "--refresh")
    async with world.admin() as admin:
        edit = {"plugins": {"proxy-rewrite": {"headers": {"set": {"X-Mine": "1"}}}}}
        (await admin.patch("plugin_configs/q.support", json=edit)).raise_for_status()
    plan = await planned(ctl, *options, "--refresh", ends=ExitCode.DRIFT)
    assert [step["object"] for step in plan["gateways"][0]["steps"]] == ["plugin_configs/q.support"]


async def test_nobody_is_believed_about_another_s_digest(ctl: Ctl, file: File, world: World) -> None:
    await ctl("apply", *file.write(declared()), "--yes")
    document = declared() | {"providers": [{"name": "mock", "type": "openai", "api_key": PROVIDER_KEY}]}
    async with world.api() as api:
        account = {"name": "ci", "kind": "service", "role": "editor"}
        (await api.post("/api/v1/accounts", json=account)).raise_for_status()
        token = (await api.post("/api/v1/accounts/ci/tokens", json={"label": "ci"})).json()["text"]
        digest = "5" * 64
        planned_here = await api.post("/api/v1/plan", json=document, headers={DIGEST_HEADER: digest})
        planned_here.raise_for_status()
        assert (await api.post("/api/v1/plan/known", json={"digest": digest})).status_code == 200
        theirs = {"Authorization": f"Bearer {token}"}
        answer = await api.post("/api/v1/plan/known", json={"digest": digest}, headers=theirs)
        assert answer.status_code == 404


@pytest.mark.usefixtures("ctl")
async def test_what_is_no_digest_is_refused(world: World) -> None:
    async with world.api() as api:
        for body in ({}, {"digest": "abc"}, {"digest": 7}, {"digest": "0" * 64, "more": 1}):
            assert (await api.post("/api/v1/plan/known", json=body)).status_code == 400
