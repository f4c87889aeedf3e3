"""Many new queues of one document are what each of them would have been alone."""

from typing import Any

import pytest

from controlplane.core.spec import Document, QueueSpec
from controlplane.errors import Conflict, InvalidSpec
from controlplane.store import rows
from controlplane.store.audit import AuditQuery
from controlplane.store.records import Kind
from controlplane.store.store import Store
from tests.fixtures.specs import document, member, queue
from tests.fixtures.stores import AUTHOR

LIMITED = member(name="b", priority=-3, model="ü🦊", limits=[{"tokens": 7, "per": "1m"}])
OWN_ID = "7b1c7a7e-2f62-4c0e-9d39-1a2b3c4d5e6f"

# Any: documents as users write them.


def queues() -> list[dict[str, Any]]:
    return [
        queue(name="plain"),
        queue(name="limited", tenant="acme", limits=[{"requests": 5, "per": "1m"}, {"concurrency": 2}]),
        queue(name="members", members=[member(), LIMITED], fallback=["http_429"], labels={"team": "a"}),
        queue(name="known", id=OWN_ID, access="open", guards={"max_output_tokens": 5}),
        queue(name="numbers", timeout_s=1e2, limits=[{"requests": 5, "refill_per_s": 0.5}]),
    ]


def whole(**parts: Any) -> Document:
    return Document.model_validate(document(tenants=[{"name": "acme"}], **{"queues": queues(), **parts}))


async def test_they_read_back_as_if_each_had_been_created_alone(store: Store) -> None:
    await store.apply(whole(queues=[]), AUTHOR)
    await store.apply(whole(), AUTHOR)
    together = {spec["name"]: await store.get(Kind.QUEUE, spec["name"]) for spec in queues()}
    for name in together:
        await store.delete(Kind.QUEUE, name, AUTHOR)
        spec = next(spec for spec in queues() if spec["name"] == name)
        alone = await store.create(Kind.QUEUE, QueueSpec.model_validate(spec), AUTHOR)
        assert (alone.stored.id, alone.stored.spec) == (together[name].id, together[name].spec)
    assert str(together["known"].id) == OWN_ID


async def test_applying_them_again_changes_nothing(store: Store) -> None:
    first = await store.apply(whole(), AUTHOR)
    assert [change.name for change in first.changes if change.kind is Kind.QUEUE] == [
        spec["name"] for spec in queues()
    ]
    again = await store.apply(whole(), AUTHOR)
    assert (again.revision, list(again.changes)) == (first.revision, [])


async def test_each_is_in_the_revision_and_in_the_audit(store: Store) -> None:
    done = await store.apply(whole(), AUTHOR)
    _, changes = await store.history.show(done.revision)
    assert {change.name for change in changes} >= {spec["name"] for spec in queues()}
    rows = await store.audit.page(AuditQuery(limit=50))
    tenant = (await store.get(Kind.TENANT, "acme")).id
    created = {row.name: row for row in rows if row.kind == "queue"}
    assert set(created) == {spec["name"] for spec in queues()}
    assert created["limited"].tenant_id == str(tenant)
    assert created["plain"].tenant_id is None
    assert (await store.audit.check()).findings == []


async def test_history_keeps_of_them_what_they_read_back_as(store: Store) -> None:
    await store.apply(whole(), AUTHOR)
    async with store.database.connection() as connection:
        found = await rows.fetch(connection, Kind.QUEUE, "true")
        kept = await connection.fetch("SELECT name, after FROM revision_change WHERE kind = 'queue'")
    assert len(found) == len(queues())
    assert {row.name: row.document for row in found} == {each["name"]: each["after"]["spec"] for each in kept}


async def test_what_is_wrong_with_several_of_them_is_told_at_once(store: Store) -> None:
    wrong = [
        queue(name="lost", members=[member(provider="nowhere")]),
        queue(name="semantic", balancer="semantic"),
        queue(name="good"),
    ]
    with pytest.raises(InvalidSpec) as refused:
        await store.apply(whole(queues=wrong), AUTHOR)
    fields = [problem.field for problem in refused.value.problems]
    assert fields == ["queues.lost.members[0].provider", "queues.semantic.balancer"]
    assert (await store.export(None))[1] == []


async def test_an_id_that_another_queue_has_is_refused(store: Store) -> None:
    await store.apply(whole(), AUTHOR)
    with pytest.raises(Conflict, match="belongs to queue 'known'"):
        await store.apply(whole(queues=[*queues(), queue(name="twin", id=OWN_ID)]), AUTHOR)


async def test_two_queues_of_one_document_cannot_share_an_id(store: Store) -> None:
    twins = [queue(name="one", id=OWN_ID), queue(name="two", id=OWN_ID)]
    with pytest.raises(Conflict, match="belongs to queue 'one'"):
        await store.apply(whole(queues=twins), AUTHOR)


async def test_a_dry_run_leaves_none_of_them(store: Store) -> None:
    done = await store.apply(whole(), AUTHOR, dry_run=True)
    assert len([change for change in done.changes if change.kind is Kind.QUEUE]) == len(queues())
    assert (await store.export(None))[1] == []
