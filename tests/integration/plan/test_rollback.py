"""Back to an earlier revision: an ordinary plan, through the same checks."""

import json
import re
from typing import Any

import httpx

from cli.exit_codes import ExitCode
from controlplane.store.records import Kind
from tests.fixtures.stores import AUTHOR
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, File, declared, queue

# Any: declarations as users write them.


async def applied(ctl: Ctl, file: File, values: dict[str, Any], *options: str) -> int:
    """Apply a declaration; the revision that holds it."""
    code, _, err = await ctl("apply", *file.write(values), "--yes", *options)
    assert code == ExitCode.OK, err
    (found,) = re.findall(r"^revision (\d+)$", err, re.MULTILINE)
    return int(found)


async def everything(world: World) -> dict[str, Any]:
    """What is declared, without what every write moves."""
    found: dict[str, Any] = {}
    async with world.api() as api:
        for kind in ("tenants", "providers", "queues", "keys"):
            for item in (await api.get(f"/api/v1/{kind}")).json()["items"]:
                for moving in ("version", "created_at", "updated_at"):
                    del item[moving]
                found[f"{kind}/{item['name']}"] = item
    for name in [path.removeprefix("keys/") for path in found if path.startswith("keys/")]:
        found[f"text of {name}"] = await world.store.reveal(Kind.KEY, name, AUTHOR)
    return found


async def test_what_was_changed_removed_and_added_since_is_as_it_was(
    ctl: Ctl, file: File, world: World
) -> None:
    first = await applied(ctl, file, declared(queues=[queue(), queue("second")]))
    before, on_gateway = await everything(world), await world.objects()
    other = declared(
        providers=[{"name": "mock", "type": "openai", "api_key": PROVIDER_KEY + "2"}],
        queues=[queue(tokens=7), queue("third")],
        keys=[],
    )
    await applied(ctl, file, other, "--prune")
    assert await everything(world) != before

    code, out, _ = await ctl("rollback", str(first), "--dry-run")
    assert code == ExitCode.CHANGES
    assert "+ queue second" in out
    assert "- queue third" in out
    assert "+ key web" in out
    assert "api_key: *** → *** (another secret)" in out
    code, out, err = await ctl("rollback", str(first), "--yes")
    assert code == ExitCode.OK
    for canary in (PROVIDER_KEY, CLIENT_KEY):
        assert canary not in out + err
    assert await everything(world) == before
    assert timeless(await world.objects()) == timeless(on_gateway)
    assert (await ctl("plan", *file.write(declared(queues=[queue(), queue("second")])), "--prune"))[0] == 0
    assert await ctl("rollback", str(first), "--yes") == (ExitCode.OK, "", "nothing to change\n")


def timeless(objects: dict[str, Any]) -> dict[str, Any]:
    times = ("create_time", "update_time")
    return {
        path: {name: value for name, value in body.items() if name not in times}
        for path, body in objects.items()
    }


async def test_a_rollback_is_itself_in_the_history_and_can_be_rolled_back(
    ctl: Ctl, file: File, world: World
) -> None:
    first = await applied(ctl, file, declared())
    second = await applied(ctl, file, declared(queues=[queue(tokens=7)]))
    after_second = await everything(world)
    await ctl("rollback", str(first), "--yes")
    _, out, _ = await ctl("history", "--limit", "1", "-o", "json")
    (newest,) = json.loads(out)
    assert newest["message"] == f"rollback to revision {first}"
    assert (await ctl("rollback", str(second), "--yes"))[0] == ExitCode.OK
    assert await everything(world) == after_second


async def test_what_has_come_since_and_is_protected_stays(ctl: Ctl, file: File, world: World) -> None:
    first = await applied(ctl, file, declared())
    await applied(ctl, file, declared(queues=[queue(), queue("kept", protect=True), queue("gone")]))
    code, _, err = await ctl("rollback", str(first), "--yes")
    assert code == ExitCode.OK
    assert "kept is protected" in err
    found = await everything(world)
    assert "queues/kept" in found
    assert "queues/gone" not in found


async def test_many_removals_need_to_be_agreed_to(ctl: Ctl, file: File, world: World) -> None:
    first = await applied(ctl, file, declared(queues=[], keys=[]))
    await applied(ctl, file, declared(queues=[queue(f"q{number}") for number in range(12)], keys=[]))
    code, _, err = await ctl("rollback", str(first), "--yes")
    assert code == ExitCode.REFUSED
    assert "going back would remove 12 of 13 objects" in err
    async with world.api() as api:
        assert (await api.post(f"/api/v1/revisions/{first}/rollback")).status_code == 412
    assert "queues/q3" in await everything(world)
    assert (await ctl("rollback", str(first), "--yes", "--allow-mass-delete"))[0] == ExitCode.OK
    assert [path for path in await everything(world) if "queues" in path] == []


async def test_objects_that_exchanged_their_names_get_them_back(ctl: Ctl, file: File, world: World) -> None:
    first = await applied(
        ctl, file, declared(queues=[queue("one", tokens=1), queue("two", tokens=2)], keys=[])
    )
    before = await everything(world)
    async with world.api() as api:
        for old, new in (("one", "spare"), ("two", "one"), ("spare", "two")):
            await renamed(api, "queues", old, new)
        await renamed(api, "providers", "mock", "fake")
    assert (await everything(world))["queues/one"]["id"] == before["queues/two"]["id"]
    assert (await ctl("rollback", str(first), "--yes"))[0] == ExitCode.OK
    assert await everything(world) == before


async def renamed(api: httpx.AsyncClient, kind: str, old: str, new: str) -> None:
    shown = (await api.get(f"/api/v1/{kind}/{old}")).json()
    added = ("id", "source", "version", "created_at", "updated_at")
    spec = {name: value for name, value in shown.items() if name not in added and value is not None}
    answer = await api.put(f"/api/v1/{kind}/{old}", json={**spec, "name": new})
    assert answer.status_code == 200, answer.text


async def test_a_removed_provider_returns_before_the_queue_that_calls_it(
    ctl: Ctl, file: File, world: World
) -> None:
    tenants = [{"name": "acme", "subdomain": "acme"}]
    first = await applied(ctl, file, declared(tenants=tenants, queues=[queue(tenant="acme")]))
    before = await everything(world)
    other = {
        "source": "team",
        "providers": [{"name": "other", "type": "deepseek"}],
        "tenants": [{"name": "rival", "subdomain": "acme"}],
        "queues": [queue(provider="other", tenant="rival")],
        "keys": [{"name": "web", "queues": ["support"], "key": CLIENT_KEY + "-2"}],
    }
    await ctl(
        "apply", *file.write({"source": "team", "providers": declared()["providers"]}), "--prune", "--yes"
    )
    await applied(ctl, file, other, "--prune")
    assert (await ctl("rollback", str(first), "--yes"))[0] == ExitCode.OK
    assert await everything(world) == before


async def test_what_was_used_of_a_budget_stays_used(ctl: Ctl, file: File, world: World) -> None:
    """The counter is addressed by objects and texts that come back as they were."""
    first = await applied(ctl, file, declared())
    on_gateway = await world.objects()
    await applied(ctl, file, declared(queues=[queue(tokens=7)]))
    code, out, _ = await ctl("rollback", str(first), "--dry-run")
    assert code == ExitCode.CHANGES
    assert "resets" not in out
    await ctl("rollback", str(first), "--yes")
    found = await world.objects()
    assert found.keys() == on_gateway.keys()
    assert found["routes/q.support"]["plugins"] == on_gateway["routes/q.support"]["plugins"]


async def test_a_plan_that_the_world_has_left_behind_is_not_carried_out(
    ctl: Ctl, file: File, world: World
) -> None:
    first = await applied(ctl, file, declared())
    await applied(ctl, file, declared(queues=[queue(tokens=7)]))
    async with world.api() as api:
        path = f"/api/v1/revisions/{first}/rollback"
        plan = (await api.get(path)).json()
        await api.patch("/api/v1/queues/support", json={"timeout_s": 7})
        answer = await api.post(path, params={"fingerprint": plan["fingerprint"]})
        assert answer.status_code == 412
        assert (await api.get("/api/v1/queues/support")).json()["timeout_s"] == 7
        assert (await api.post("/api/v1/revisions/999/rollback")).status_code == 404
    code, _, err = await ctl("rollback", "999", "--yes")
    assert (code, "there is no revision 999" in err) == (ExitCode.ERROR, True)


async def test_gateways_stay_as_they_are(ctl: Ctl, file: File, world: World) -> None:
    first = await applied(ctl, file, declared())
    async with world.api() as api:
        await api.patch("/api/v1/gateways/edge", json={"labels": {"site": "a"}})
        await ctl("rollback", str(first), "--yes")
        assert (await api.get("/api/v1/gateways/edge")).json()["labels"] == {"site": "a"}
