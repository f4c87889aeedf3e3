"""A plan that was shown is applied as it is, unless the world has moved; what it brings is not read back."""

import gc
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from controlplane.api.in_hand import PlansInHand
from controlplane.api.planned_documents import PlannedDocument
from controlplane.core.spec import Document
from controlplane.reconciler.planning import Planner
from controlplane.store.desired import DesiredReader
from controlplane.store.reconciling import ReconcilingStore
from controlplane.store.records import Kind
from tests.fixtures.stores import AUTHOR
from tests.fixtures.worlds import World
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, declared, queue

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


def texts_in(thing: object) -> Iterator[str]:
    """Every text that can be reached from something, whatever it lies in."""
    seen, left = {id(thing)}, [thing]
    while left:
        one = left.pop()
        if isinstance(one, str | bytes):
            yield one if isinstance(one, str) else one.decode(errors="replace")
        for other in gc.get_referents(one):
            if id(other) not in seen and not isinstance(other, type | ModuleType | FunctionType):
                seen.add(id(other))
                left.append(other)


async def test_no_secret_is_held_with_a_plan_and_all_of_them_are_applied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, take = PlansInHand.keep, PlansInHand.take
    held: list[set[str]] = []
    taken: list[PlannedDocument | None] = []

    def kept(self: PlansInHand, *given: Any) -> None:
        keep(self, *given)
        held.append(set(texts_in(self._kept)))

    def took(self: PlansInHand, *given: Any) -> PlannedDocument | None:
        taken.append(take(self, *given))
        return taken[-1]

    monkeypatch.setattr(PlansInHand, "keep", kept)
    monkeypatch.setattr(PlansInHand, "take", took)
    gateway = {"name": "other", "admin_url": "http://127.0.0.1:1", "admin_key": "sk-canary-admin-1190"}
    for values in (SENT, declared(gateways=[gateway])):
        plan = await planned(world, values)
        assert await applied(world, values, plan) == 200
    (sent, seen), (opened, _) = held, taken
    assert {"team", "support"} <= sent & seen
    assert PROVIDER_KEY in set(texts_in(Document.model_validate(SENT))), "secrets would be found"
    for secret in (PROVIDER_KEY, CLIENT_KEY, gateway["admin_key"]):
        assert not [text for text in sent | seen if secret in text]
    assert opened is not None
    assert opened.document == Document.model_validate(SENT)
    assert opened.document.model_fields_set == Document.model_validate(SENT).model_fields_set
    async with world.api() as api:
        shown = await api.get("/api/v1/providers/mock")
        assert shown.json()["api_key"] == "***"
    stored = await world.store.reveal(Kind.KEY, "web", AUTHOR)
    assert stored == {"key": CLIENT_KEY}
