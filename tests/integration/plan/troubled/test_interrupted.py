"""An apply that is interrupted, in every way that there is: it says so, and the next one completes it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cli.exit_codes import ExitCode
from tests.fixtures.services import TOKEN, until
from tests.fixtures.troubled import SILENCE, Trouble, TroubledAdmin, no_trouble
from tests.fixtures.worlds import Ctl, World, addressed
from tests.integration.plan.conftest import File, declared, queue

ROOT = Path(__file__).parents[4]
SHORT = ("--yes", "--timeout", "0.5")
ENOUGH = ("--yes", "--timeout", "30")


def writes_of(*paths: str, status: int) -> Trouble:
    """Trouble with writes to these objects."""
    return lambda method, path: status if method != "GET" and path in paths else None


def half(method: str, path: str) -> int | None:
    return 400 if method == "PUT" and path.endswith(("0", "2", "4", "6", "8")) else None


def writes(status: int) -> Trouble:
    return lambda method, _: status if method != "GET" else None


async def completes(ctl: Ctl, admin: TroubledAdmin, file: File, world: World) -> None:
    """Once the trouble is over the same command ends well, and nothing is left to do."""
    admin.trouble = no_trouble
    code, _, err = await ctl("apply", *file.options, *ENOUGH)
    assert code == ExitCode.OK, err
    code, out, _ = await ctl("plan", *file.options, "--refresh")
    assert (code, out.strip()) == (ExitCode.OK, "nothing to do")
    assert {"routes/q.support", "routes/q.support.model"} <= (await world.objects()).keys()


async def test_one_object_that_is_refused_fails_with_its_dependants_and_the_rest_goes_on(
    ctl: Ctl, admin: TroubledAdmin, file: File, world: World
) -> None:
    admin.trouble = writes_of("plugin_configs/p.mock", status=400)
    code, out, err = await ctl("apply", *file.write(declared()), *ENOUGH)
    assert (code, out) == (ExitCode.PARTLY_APPLIED, "")
    assert "failed: the gateway refused PUT plugin_configs/p.mock: 400 there is trouble" in err
    assert "failed: waits for plugin_configs/p.mock, which failed" in err
    assert "routes/q.support" in (await world.objects())
    assert (await ctl("plan", *file.options))[0] == ExitCode.CHANGES, "two objects are still to be written"
    await completes(ctl, admin, file, world)


async def test_the_same_apply_again_does_not_wait_for_the_next_attempt_of_the_service(
    ctl: Ctl, admin: TroubledAdmin, file: File, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlplane.reconciler.loop._FIRST_RETRY_S", 3600.0)
    admin.trouble = writes_of("plugin_configs/p.mock", status=400)
    code, _, _ = await ctl("apply", *file.write(declared()), *SHORT)
    assert code == ExitCode.PARTLY_APPLIED
    await world.in_state("degraded")
    await completes(ctl, admin, file, world)


async def test_what_became_of_an_apply_is_json_alone_on_stdout_with_the_same_exit_codes(
    ctl: Ctl, admin: TroubledAdmin, file: File, world: World
) -> None:
    admin.trouble = writes_of("plugin_configs/p.mock", status=400)
    code, out, err = await ctl("apply", *file.write(declared()), *ENOUGH, "-o", "json")
    became = json.loads(out)
    assert (code, became["format_version"], became["done"]) == (ExitCode.PARTLY_APPLIED, 1, False)
    assert {"action": "create", "kind": "queue", "name": "support"} in became["changes"]
    (gateway,) = became["gateways"]
    assert (gateway["done"], gateway["state"]) == (False, "degraded")
    failed = [row["object"] for row in became["objects"] if row["result"] == "failed"]
    assert sorted(failed) == ["plugin_configs/p.mock", "routes/p.mock"]
    assert "there is trouble" in became["objects"][0]["error"] + became["objects"][1]["error"]
    assert {row["result"] for row in became["objects"]} == {"failed", "created"}
    assert "plugin_configs/p.mock" in err
    admin.trouble = no_trouble
    code, out, _ = await ctl("apply", *file.options, *ENOUGH, "-o", "json")
    assert (code, json.loads(out)["done"]) == (ExitCode.OK, True)


async def test_half_the_objects_refused(ctl: Ctl, admin: TroubledAdmin, file: File, world: World) -> None:
    admin.trouble = half
    queues = [queue(), *(queue(f"q{number}") for number in range(10))]
    code, _, err = await ctl("apply", *file.write(declared(queues=queues)), *ENOUGH)
    assert code == ExitCode.PARTLY_APPLIED
    assert err.count("400 there is trouble") >= 5
    there = await world.objects()
    assert "routes/q.q1" in there
    assert "routes/q.q2" not in there
    await completes(ctl, admin, file, world)


@pytest.mark.parametrize("status", [500, 503, SILENCE])
async def test_a_gateway_that_fails_or_keeps_silent(
    ctl: Ctl, admin: TroubledAdmin, file: File, world: World, status: int
) -> None:
    admin.trouble = writes(status)
    code, _, err = await ctl("apply", *file.write(declared()), *SHORT)
    assert code == ExitCode.PARTLY_APPLIED
    assert "the service goes on trying" in err
    assert "routes/q.support" not in await world.objects()
    await completes(ctl, admin, file, world)


async def test_a_gateway_that_is_gone_is_planned_from_what_is_on_record(
    ctl: Ctl, admin: TroubledAdmin, file: File, world: World
) -> None:
    await ctl("apply", *file.write(declared()), *ENOUGH)
    await world.stop_gateway()
    options = file.write(declared(queues=[queue(tokens=200)]))
    code, out, _ = await ctl("plan", *options)
    assert code == ExitCode.CHANGES
    assert "gateway edge could not be looked at" in out
    code, _, err = await ctl("apply", *options, *SHORT)
    assert code == ExitCode.PARTLY_APPLIED
    assert "the service goes on trying" in err
    await world.start_gateway()
    await completes(ctl, admin, file, world)


async def test_removals_come_last_and_a_removal_that_failed_is_made_good(
    ctl: Ctl, admin: TroubledAdmin, file: File, world: World
) -> None:
    await ctl("apply", *file.write(declared(queues=[queue(), queue("old")])), *ENOUGH)
    admin.writes.clear()
    admin.trouble = writes_of("routes/q.old", status=500)
    changed = declared(queues=[queue(tokens=200)])
    code, _, err = await ctl("apply", *file.write(changed), "--prune", *SHORT)
    assert code == ExitCode.PARTLY_APPLIED, err

    async def removing() -> bool:
        return any(write.startswith("DELETE") for write in admin.writes)

    await until(removing, "the removal")
    deletes = [index for index, write in enumerate(admin.writes) if write.startswith("DELETE")]
    puts = [index for index, write in enumerate(admin.writes) if write.startswith("PUT")]
    assert puts[0] < deletes[0]
    await completes(ctl, admin, file, world)
    assert not [path for path in await world.objects() if "q.old" in path]


async def test_a_service_that_crashes_in_the_middle_goes_on_where_it_was(
    world: World,
    admin: TroubledAdmin,
    file: File,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await world.declare_gateway(admin_url=admin.url)
    ctl = Ctl(world, capsys)
    with capture_logs():
        async with world.served():
            addressed(world, monkeypatch)
            await world.in_state("converged")
            admin.trouble = lambda method, path: SILENCE if method == "PUT" and "routes" in path else None
            code, _, _ = await ctl("apply", *file.write(declared()), *SHORT)
            assert code == ExitCode.PARTLY_APPLIED

            async def in_the_middle() -> bool:
                return "plugin_configs/q.support" in await world.objects()

            await until(in_the_middle, "the half of the writes")
        admin.trouble = no_trouble
        async with world.served():
            addressed(world, monkeypatch)
            await completes(ctl, admin, file, world)


async def interrupted(
    world: World, admin: TroubledAdmin, how: signal.Signals, *arguments: str
) -> tuple[int, str]:
    """Run `ctl` until the gateway keeps silent, and interrupt it: its exit code, and what it said."""
    admin.writes.clear()
    admin.trouble = writes(SILENCE)
    environ = {**os.environ, "SLUICE_URL": world.url, "SLUICE_TOKEN": TOKEN}
    command = [sys.executable, "-m", "cli", *arguments, *ENOUGH]
    process = await asyncio.to_thread(
        lambda: subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)
    )

    async def waits() -> bool:
        return bool(admin.writes)

    try:
        await until(waits, "the gateway's silence")
        process.send_signal(how)
        _, shown = await asyncio.to_thread(process.communicate, timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode, shown


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_ctl_that_is_interrupted_has_stored_everything_or_nothing(
    ctl: Ctl, admin: TroubledAdmin, file: File, world: World, how: signal.Signals
) -> None:
    code, shown = await interrupted(world, admin, how, "apply", *file.write(declared()))
    async with world.api() as api:
        assert (await api.get("/api/v1/queues")).json()["items"]
    if how is signal.SIGINT:
        assert code == ExitCode.PARTLY_APPLIED, shown
        assert "stored, and the service goes on" in shown
    await completes(ctl, admin, file, world)


async def test_a_rollback_that_is_interrupted_is_stored_and_a_second_one_completes_it(
    ctl: Ctl, admin: TroubledAdmin, file: File, world: World
) -> None:
    first = declared(queues=[queue(), queue("second")])
    await ctl("apply", *file.write(first), *ENOUGH)
    before = (await world.objects()).keys()
    async with world.api() as api:
        revision = str((await api.get("/api/v1/revisions")).json()["items"][0]["id"])
    code, _, err = await ctl("apply", *file.write(declared(queues=[queue(tokens=7)])), "--prune", *ENOUGH)
    assert code == ExitCode.OK, err

    code, shown = await interrupted(world, admin, signal.SIGINT, "rollback", revision)
    assert code == ExitCode.PARTLY_APPLIED, shown
    assert "stored, and the service goes on" in shown
    assert "Traceback" not in shown
    admin.trouble = no_trouble
    code, _, err = await ctl("rollback", revision, *ENOUGH)
    assert code == ExitCode.OK, err
    await world.in_state("converged")
    assert (await world.objects()).keys() == before
    code, out, _ = await ctl("plan", *file.write(first), "--refresh")
    assert (code, out.strip()) == (ExitCode.OK, "nothing to do")
