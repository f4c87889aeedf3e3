"""Everything declared, kept in a real Postgres."""

import asyncio
from typing import Any

import pytest

from controlplane.core.gateways import GatewaySpec
from controlplane.core.spec import Document, KeySpec, ProviderSpec, QueueSpec, TenantSpec
from controlplane.errors import Conflict, InvalidSpec, NotFound, PreconditionFailed, StoreUnavailable
from controlplane.settings import Settings
from controlplane.store.history import HistoryQuery
from controlplane.store.migrate import upgrade
from controlplane.store.reconciling import ReconcilingStore
from controlplane.store.records import Kind, Query
from controlplane.store.store import Store, open_store
from tests.fixtures.specs import document, member, queue
from tests.fixtures.stores import AUTHOR

CANARY = "sk-canary-7f3a91"


def provider(name: str = "openai-main", **parts: Any) -> ProviderSpec:
    return ProviderSpec.model_validate({"name": name, "type": "openai", "api_key": CANARY, **parts})


async def with_queue(store: Store, **parts: Any) -> None:
    await store.create(Kind.PROVIDER, provider(), AUTHOR)
    await store.create(Kind.QUEUE, QueueSpec.model_validate(queue(**parts)), AUTHOR)


async def everything_stored(store: Store) -> str:
    """The text of every row of every table."""
    async with store.database.connection() as connection:
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        texts = []
        for (table,) in tables:
            texts += [str(row) for row in await connection.fetch(f'SELECT t::text FROM "{table}" t')]
    return "\n".join(texts)


async def test_what_is_declared_reads_back_as_it_was(store: Store) -> None:
    limits = [{"tokens": 2**53 - 1, "per": "1h"}, {"requests": 5, "refill_per_s": 0.5, "by": "key"}]
    members = [member(limits=[{"tokens": 7, "per": "1m"}]), member(name="b", priority=-3, model="ü🦊'\"")]
    await store.create(Kind.PROVIDER, provider(), AUTHOR)
    await store.create(Kind.TENANT, TenantSpec(name="acme", subdomain="acme"), AUTHOR)
    spec = QueueSpec.model_validate(queue(tenant="acme", limits=limits[1:], members=members))
    written = await store.create(Kind.QUEUE, spec, AUTHOR)
    read = (await store.get(Kind.QUEUE, "support")).spec
    assert read == spec.model_copy(update={"id": written.stored.id})
    assert (await store.get(Kind.QUEUE, str(written.stored.id))).spec == read


async def test_a_null_in_a_json_schema_is_kept(store: Store) -> None:
    schema = {"properties": {"note": {"const": None}, "size": {"enum": [None, 1, 0.5]}}}
    plugin = {"name": "content_validator", "priority": 1, "settings": {"json_schema": schema}}
    declared = Document.model_validate(document(tenants=[{"name": "acme", "required_plugins": [plugin]}]))
    first = await store.apply(declared, AUTHOR)
    assert (await store.get(Kind.TENANT, "acme")).spec == declared.tenants[0]
    assert (await store.apply(declared, AUTHOR)).revision == first.revision


async def test_no_secret_is_kept_in_plain_text(store: Store) -> None:
    await with_queue(store)
    await store.patch(Kind.PROVIDER, "openai-main", {"api_key": CANARY + "2"}, AUTHOR)
    key = await store.create(Kind.KEY, KeySpec(name="web"), AUTHOR)
    kept = await everything_stored(store)
    assert CANARY not in kept
    assert key.new_key is not None
    assert key.new_key not in kept


async def test_a_key_is_shown_once_and_can_be_revealed_to_an_administrator(store: Store) -> None:
    written = await store.create(Kind.KEY, KeySpec(name="web"), AUTHOR)
    assert written.stored.spec.key.get_secret_value() == "***"
    assert (await store.reveal(Kind.KEY, "web", AUTHOR))["key"] == written.new_key


async def test_two_keys_cannot_share_a_text(store: Store) -> None:
    text = "sk-brought-along-0001"
    await store.create(Kind.KEY, KeySpec.model_validate({"name": "a", "key": text}), AUTHOR)
    with pytest.raises(Conflict, match="key's text"):
        await store.create(Kind.KEY, KeySpec.model_validate({"name": "b", "key": text}), AUTHOR)


async def test_a_masked_or_missing_secret_stays_and_null_removes_it(store: Store) -> None:
    await store.create(Kind.PROVIDER, provider(), AUTHOR)
    await store.replace(Kind.PROVIDER, "openai-main", provider(api_key="***"), AUTHOR)
    await store.patch(Kind.PROVIDER, "openai-main", {"labels": {"team": "a"}}, AUTHOR)
    assert await store.reveal(Kind.PROVIDER, "openai-main", AUTHOR) == {"api_key": CANARY}
    await store.patch(Kind.PROVIDER, "openai-main", {"api_key": None}, AUTHOR)
    assert await store.reveal(Kind.PROVIDER, "openai-main", AUTHOR) == {}


async def test_every_write_has_its_revision_and_its_audit_row(store: Store) -> None:
    await with_queue(store)
    await store.patch(Kind.QUEUE, "support", {"limits": [{"tokens": 5, "per": "1m"}]}, AUTHOR)
    await store.delete(Kind.QUEUE, "support", AUTHOR)
    revisions = await store.history.page(HistoryQuery(limit=10))
    assert [revision.id for revision in revisions] == [4, 3, 2, 1]
    _, changes = await store.history.show(3)
    assert changes[0].after is not None
    assert changes[0].after["limits"] == [{"tokens": 5, "per": "1m"}]
    async with store.database.connection() as connection:
        rows = await connection.fetch("SELECT action, name, request_id, revision_id FROM audit ORDER BY id")
    assert [(row["action"], row["revision_id"]) for row in rows] == [
        ("create", 1),
        ("create", 2),
        ("update", 3),
        ("delete", 4),
    ]
    assert {row["request_id"] for row in rows} == {"request-1"}


async def test_a_refused_write_leaves_nothing_behind(store: Store) -> None:
    await with_queue(store)
    before = await everything_stored(store)
    with pytest.raises(InvalidSpec):
        await store.patch(Kind.QUEUE, "support", {"members": [member(provider="nobody")]}, AUTHOR)
    with pytest.raises(InvalidSpec):
        await store.patch(Kind.QUEUE, "support", {"limits": [{"usd": 1, "per": "month"}]}, AUTHOR)
    with pytest.raises(Conflict):
        await store.create(Kind.PROVIDER, provider(), AUTHOR)
    assert await everything_stored(store) == before


async def test_a_reference_that_leads_nowhere_names_its_field(store: Store) -> None:
    spec = QueueSpec.model_validate(queue(members=[member(provider="nobody")]))
    with pytest.raises(InvalidSpec) as caught:
        await store.create(Kind.QUEUE, spec, AUTHOR)
    (problem,) = caught.value.problems
    assert problem.field == "members[0].provider"
    assert problem.remedy == "declare the provider first, or correct the name"


async def test_a_delete_that_would_break_a_reference_lists_what_refers(store: Store) -> None:
    await with_queue(store)
    await store.create(Kind.KEY, KeySpec(name="web", queues=("support",)), AUTHOR)
    with pytest.raises(Conflict, match="queue support"):
        await store.delete(Kind.PROVIDER, "openai-main", AUTHOR)
    with pytest.raises(Conflict, match="key web"):
        await store.delete(Kind.QUEUE, "support", AUTHOR)


async def test_somebody_else_s_write_in_between_is_noticed(store: Store) -> None:
    await with_queue(store)
    read = await store.get(Kind.QUEUE, "support")
    await store.patch(Kind.QUEUE, "support", {"timeout_s": 5}, AUTHOR, read.version)
    with pytest.raises(PreconditionFailed):
        await store.patch(Kind.QUEUE, "support", {"timeout_s": 6}, AUTHOR, read.version)


async def test_pages_follow_each_other_without_gap_or_repeat(store: Store) -> None:
    names = sorted(f"p{number}" for number in range(25))
    for name in names:
        await store.create(Kind.PROVIDER, provider(name), AUTHOR)
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.page(Kind.PROVIDER, Query(limit=10, cursor=cursor))
        seen += [item.spec.name for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == names


async def test_lists_are_filtered(store: Store) -> None:
    await store.create(Kind.PROVIDER, provider("a1", labels={"team": "red"}), AUTHOR)
    await store.create(Kind.PROVIDER, provider("a2", type="deepseek", labels={"team": "blue"}), AUTHOR)

    async def names(**filters: str) -> list[str]:
        page = await store.page(Kind.PROVIDER, Query(**filters))  # type: ignore[arg-type] # by name
        return [item.spec.name for item in page.items]

    assert await names(type="deepseek") == ["a2"]
    assert await names(label="team=red") == ["a1"]
    assert await names(label="team") == ["a1", "a2"]
    assert await names(name_prefix="a2") == ["a2"]
    assert await names(source="elsewhere") == []


async def test_a_document_is_one_revision_and_the_second_time_none(store: Store) -> None:
    declared = Document.model_validate(document(keys=[{"name": "web", "queues": ["support"]}]))
    first = await store.apply(declared, AUTHOR)
    assert [(str(change.kind), change.action) for change in first.changes] == [
        ("provider", "create"),
        ("queue", "create"),
        ("key", "create"),
    ]
    assert first.keys["web"].startswith("sk-sluice-")
    again = await store.apply(declared, AUTHOR)
    assert (again.revision, list(again.changes), again.keys) == (first.revision, [], {})


async def test_a_dry_run_says_what_would_change_and_changes_nothing(store: Store) -> None:
    before = await everything_stored(store)
    result = await store.apply(Document.model_validate(document()), AUTHOR, dry_run=True)
    assert len(result.changes) == 2
    assert await everything_stored(store) == before


async def test_a_document_with_problems_tells_them_all_and_changes_nothing(store: Store) -> None:
    bad = document(
        queues=[queue(limits=[{"usd": 1, "per": "1d"}]), queue(name="b", members=[member(provider="no")])]
    )
    with pytest.raises(InvalidSpec) as caught:
        await store.apply(Document.model_validate(bad), AUTHOR)
    assert [problem.field for problem in caught.value.problems] == [
        "queues.support.limits[0].usd",
        "queues.b.members[0].provider",
    ]
    assert (await store.page(Kind.PROVIDER, Query())).items == []


async def test_a_document_leaves_alone_what_another_source_declared(store: Store) -> None:
    await store.apply(Document.model_validate(document(source="platform")), AUTHOR)
    with pytest.raises(Conflict, match="declared by source 'platform'"):
        await store.apply(Document.model_validate(document(source="shop")), AUTHOR)


async def test_a_new_secret_in_a_document_is_a_change_of_that_field(store: Store) -> None:
    def with_key(text: str) -> Document:
        account = {"name": "openai-main", "type": "openai", "api_key": text}
        return Document.model_validate(document(providers=[account]))

    await store.apply(with_key("sk-one"), AUTHOR)
    result = await store.apply(with_key("sk-two"), AUTHOR)
    assert [(change.name, list(change.fields)) for change in result.changes] == [("openai-main", ["api_key"])]


async def test_writes_at_the_same_time_become_revisions_in_the_order_of_their_numbers(store: Store) -> None:
    await asyncio.gather(*(store.create(Kind.PROVIDER, provider(f"p{n}"), AUTHOR) for n in range(20)))
    revisions = list(reversed(await store.history.page(HistoryQuery())))
    assert [revision.id for revision in revisions] == sorted(revision.id for revision in revisions)
    assert len(revisions) == 20


async def test_another_master_key_opens_nothing_and_says_so(store: Store, store_settings: Settings) -> None:
    await store.create(Kind.PROVIDER, provider(), AUTHOR)
    other = store_settings.model_dump() | {"master_key": "A" * 43 + "="}
    async with open_store(Settings(**other)) as stranger:
        with pytest.raises(Exception, match="not sealed with the present master key"):
            await stranger.reveal(Kind.PROVIDER, "openai-main", AUTHOR)


async def test_two_processes_may_migrate_at_once(postgres_url: str) -> None:
    await asyncio.gather(upgrade(postgres_url), upgrade(postgres_url))


async def test_a_database_that_is_gone_is_told_as_such(store_settings: Settings) -> None:
    nowhere = store_settings.model_copy(update={"database_url": "postgresql://a:b@127.0.0.1:1/none"})
    async with open_store(nowhere) as store:
        with pytest.raises(StoreUnavailable):
            await store.ping()


async def test_a_provider_cannot_be_changed_into_one_that_its_queues_cannot_use(store: Store) -> None:
    await with_queue(store)
    change = {"type": "bedrock", "region": "eu-west-1", "access_key_id": "A"}
    with pytest.raises(InvalidSpec) as caught:
        await store.patch(Kind.PROVIDER, "openai-main", change, AUTHOR)
    assert caught.value.problems[0].field == "queues.support.members[0].provider"


async def test_a_masked_secret_cannot_make_a_new_object(store: Store) -> None:
    with pytest.raises(InvalidSpec) as caught:
        await store.create(Kind.PROVIDER, provider(api_key="***"), AUTHOR)
    assert caught.value.problems[0].field == "api_key"


async def test_a_key_is_not_blamed_for_its_queue(store: Store) -> None:
    bad = document(
        queues=[queue(limits=[{"usd": 1, "per": "1d"}])], keys=[{"name": "w", "queues": ["support"]}]
    )
    with pytest.raises(InvalidSpec) as caught:
        await store.apply(Document.model_validate(bad), AUTHOR)
    assert [problem.field for problem in caught.value.problems] == ["queues.support.limits[0].usd"]


async def test_what_no_gateway_can_enforce_is_refused_once_all_have_been_asked(store: Store) -> None:
    edge = await store.create(
        Kind.GATEWAY, GatewaySpec.model_validate({"name": "edge", "admin_url": "http://127.0.0.1:1"}), AUTHOR
    )
    strict = {"limits": [{"tokens": 5, "per": "1m", "strict": True}]}
    await with_queue(store, name="before", **strict)
    asked = ReconcilingStore(store.database, store.sealer)
    await asked.record_plugins(edge.stored.id, {"ai-rate-limiting"})
    with pytest.raises(InvalidSpec) as refused:
        await store.create(Kind.QUEUE, QueueSpec.model_validate(queue(name="after", **strict)), AUTHOR)
    assert "token-budget" in str(refused.value)
    await asked.record_plugins(edge.stored.id, {"ai-rate-limiting", "token-budget"})
    await store.create(Kind.QUEUE, QueueSpec.model_validate(queue(name="after", **strict)), AUTHOR)


async def test_an_unknown_object_is_told_as_such(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.get(Kind.QUEUE, "nothing")


async def test_a_gateway_s_address_of_counters_is_a_secret(store: Store) -> None:
    spec = GatewaySpec.model_validate(
        {"name": "edge", "admin_url": "http://127.0.0.1:1", "redis_url": f"redis://:{CANARY}@127.0.0.1:6379"}
    )
    await store.create(Kind.GATEWAY, spec, AUTHOR)
    assert CANARY not in await everything_stored(store)
