"""A plan that was shown is applied as it is, unless the world has moved; what it brings is not read back."""

from typing import Any

import pytest

from controlplane.reconciler.planning import Planner
from controlplane.store.desired import DesiredReader
from controlplane.store.reconciling import ReconcilingStore
from tests.fixtures.worlds import World
from tests.integration.plan.conftest import declared, queue

pytestmark = pytest.mark.usefixtures("ctl")

# Any: JSON.
SENT = declared(queues=[queue(), queue("sales", guards={"models": ["m"]}, labels={"b": "1", "a": "2"})])


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources of the plans that are made from now on."""
    whole = Planner.plan
    seen: list[str] = []

    async def noted(self: Planner, document: Any, *rest: Any) -> Any:
        seen.append(document.source)
        return await whole(self, document, *rest)

    monkeypatch.setattr(Planner, "plan", noted)
    return seen


async def planned(world: World, values: dict[str, Any], **options: str) -> dict[str, Any]:
    async with world.api() as api:
        answer = await api.post("/api/v1/plan", json=values, params=options)
    plan: dict[str, Any] = answer.raise_for_status().json()
    return plan


async def applied(world: World, values: dict[str, Any], plan: dict[str, Any], **options: str) -> int:
    """The status of the answer."""
    async with world.api() as api:
        params = {"fingerprint": plan["fingerprint"], **options}
        return (await api.post("/api/v1/apply", json=values, params=params)).status_code


async def test_what_was_shown_is_applied_without_another_plan(world: World, made: list[str]) -> None:
    assert await applied(world, SENT, await planned(world, SENT)) == 200
    assert made == ["team"]
    await world.in_state("converged")
    assert (await planned(world, SENT))["changes"] == []


async def test_a_document_of_other_text_is_planned_anew(world: World, made: list[str]) -> None:
    plan = await planned(world, SENT)
    same = dict(reversed(SENT.items()))
    assert await applied(world, same, plan) == 200
    assert made == ["team", "team"]


async def test_another_document_is_not_what_was_agreed_to(world: World) -> None:
    plan = await planned(world, SENT)
    assert await applied(world, declared(queues=[queue(tokens=7)]), plan) == 412


async def test_other_options_are_another_plan(world: World) -> None:
    plan = await planned(world, SENT)
    assert await applied(world, SENT, plan, prune="true") == 412


async def test_what_was_declared_in_between_is_noticed(world: World) -> None:
    plan = await planned(world, SENT)
    async with world.api() as api:
        other = {"name": "other", "type": "openai", "api_key": "sk-canary-other"}
        (await api.post("/api/v1/providers", json=other)).raise_for_status()
    assert await applied(world, SENT, plan) == 412


async def test_what_somebody_did_on_the_gateway_in_between_is_noticed(world: World) -> None:
    assert await applied(world, SENT, await planned(world, SENT)) == 200
    await world.in_state("converged")
    raised = declared(queues=[queue(tokens=500), SENT["queues"][1]])
    plan = await planned(world, raised)
    await world.edit("plugin_configs/q.support", desc="by hand")
    assert await applied(world, raised, plan) == 412


async def test_what_stands_in_the_way_by_now_is_noticed(world: World) -> None:
    plan = await planned(world, SENT)
    async with world.admin() as admin:
        foreign = {"uris": ["/theirs"], "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:1": 1}}}
        (await admin.put("routes/q.support", json=foreign)).raise_for_status()
    assert await applied(world, SENT, plan) == 412


async def test_a_plan_is_agreed_to_once(world: World) -> None:
    plan = await planned(world, SENT)
    assert await applied(world, SENT, plan) == 200
    assert await applied(world, SENT, plan) == 412


async def test_a_dry_run_leaves_everything_as_it_was(world: World) -> None:
    plan = await planned(world, SENT)
    assert await applied(world, SENT, plan, dry_run="true") == 200
    assert await applied(world, SENT, await planned(world, SENT)) == 200


async def test_what_a_plan_foresaw_is_what_a_reader_finds(world: World, monkeypatch: Any) -> None:
    kept = ReconcilingStore(world.store.database, world.store.sealer)
    foreseen: list[Any] = []
    monkeypatch.setattr(ReconcilingStore, "foresee", lambda self, *given: foreseen.append(given))
    changed = declared(queues=[queue(tokens=9), queue("third")])
    await kept.desired()
    for values in (SENT, changed):
        assert await applied(world, values, await planned(world, values, prune="true"), prune="true") == 200
        kept._reader.foresee(*foreseen.pop())
        believed = await kept.desired()
        assert believed == await DesiredReader(world.store.database).read()
        assert set(believed.queues) == {item["name"] for item in values["queues"]}
