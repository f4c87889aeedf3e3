"""The audit is only ever added to, and whoever gets around that is found out."""

import asyncio
import base64
import uuid
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from controlplane.core.access import AccountSpec
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec, TenantSpec
from controlplane.settings import Settings
from controlplane.store.audit import AuditQuery, Entry, add_to_audit
from controlplane.store.records import Kind
from controlplane.store.store import Store, open_store
from tests.fixtures.servers import TestPostgres
from tests.fixtures.specs import queue
from tests.fixtures.stores import AUTHOR
from tests.integration.store.test_migrations import upgraded


async def some_rows(store: Store, number: int = 5) -> None:
    for index in range(number):
        await store.create(Kind.TENANT, TenantSpec(name=f"tenant-{index}"), AUTHOR)


async def tampered(store: Store, *statements: str) -> None:
    """Change the table as somebody does who owns the database."""
    async with store.database.transaction() as connection:
        await connection.execute("ALTER TABLE audit DISABLE TRIGGER USER")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("ALTER TABLE audit ENABLE TRIGGER USER")


async def findings(store: Store, known: tuple[int, str] | None = None) -> list[tuple[int | None, str]]:
    return [(finding.row, finding.what) for finding in (await store.audit.check(known)).findings]


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET author = 'x'", "DELETE FROM audit WHERE id = 1", "TRUNCATE audit"]
)
async def test_the_database_refuses_to_change_or_remove_a_row(store: Store, statement: str) -> None:
    await some_rows(store)
    async with store.database.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="neither changed nor removed"):
            await connection.execute(statement)
    assert (await store.audit.check()).rows == 5


async def test_every_kind_of_write_is_chained(store: Store) -> None:
    limits = [{"tokens": 2**53 - 1, "per": "1h"}, {"requests": 7, "refill_per_s": 0.1 + 0.2}]
    provider = {"name": "openai-main", "type": "openai", "api_key": "sk-canary-audit"}
    model = {"name": "ü🦊", "input_usd_per_mtok": 1e-7, "output_usd_per_mtok": 25.0}
    await store.create(Kind.PROVIDER, ProviderSpec.model_validate({**provider, "models": [model]}), AUTHOR)
    await store.create(Kind.QUEUE, QueueSpec.model_validate(queue(limits=limits)), AUTHOR)
    await store.create(Kind.KEY, KeySpec(name="web", queues=("support",)), AUTHOR)
    await store.patch(Kind.QUEUE, "support", {"timeout_s": 12.5}, AUTHOR)
    await store.reveal(Kind.KEY, "web", AUTHOR)
    await store.accounts.create(AccountSpec(name="anna"), AUTHOR, None)
    await store.delete(Kind.KEY, "web", AUTHOR)
    check = await store.audit.check()
    assert (check.rows, check.findings) == (7, [])
    rows = await store.audit.page(AuditQuery())
    assert [row.action for row in rows] == [
        "delete", "create", "reveal", "update", "create", "create", "create",
    ]  # fmt: skip
    assert "sk-canary-audit" not in str(rows)


@pytest.mark.parametrize(
    "number", [1e16, 1.2345678901234567e18, 1e300, 2**63, 2**64 - 1, -0.0, 1e-300, 0.1, 100.0, -(2**53), True]
)
async def test_a_number_of_any_size_reads_back_as_it_was_vouched_for(store: Store, number: Any) -> None:
    entry = Entry("test", "queue", uuid.uuid4(), "n", {"number": [number]}, {str(number): number})
    async with store.database.transaction() as connection:
        await add_to_audit(connection, store.sealer, AUTHOR, [entry])
    assert await findings(store) == []


@pytest.mark.parametrize(
    "change",
    [
        "author = 'somebody else'",
        "at = at - interval '1 second'",
        'after = after || \'{"tier": "pro"}\'',
        "before = '{}'",
        "revision_id = 1",
        "tenant_id = NULL",
        "request_id = ''",
        f"object_id = '{uuid.UUID(int=7)}'",
    ],
)
async def test_a_changed_row_is_found(store: Store, change: str) -> None:
    await some_rows(store)
    await tampered(store, f"UPDATE audit SET {change} WHERE id = 3")
    assert await findings(store) == [(3, "was changed, or put in by somebody else")]


async def test_a_row_that_was_taken_out_is_found_wherever_it_stood(store: Store) -> None:
    await some_rows(store)
    await tampered(store, "DELETE FROM audit WHERE id = 3")
    (found,) = await findings(store)
    assert found == (4, "rows between row 2 and this one were taken out, put in or changed")
    await tampered(store, "DELETE FROM audit WHERE id = 1")
    assert (2, "rows before this one were taken out, put in or changed") in await findings(store)
    await tampered(store, "DELETE FROM audit WHERE id = 5")
    assert (None, "rows after row 4 were taken out") in await findings(store)


async def test_a_row_that_was_put_in_is_found(store: Store) -> None:
    await some_rows(store)
    copied = (
        "INSERT INTO audit (at, author, address, request_id, action, kind, object_id, name, previous, "
        "digest) SELECT at, 'forger', address, request_id, action, kind, object_id, name, previous, digest "
        "FROM audit WHERE id = 2"
    )
    await tampered(store, copied)
    assert (6, "was changed, or put in by somebody else") in await findings(store)


async def test_a_row_outside_of_the_chain_is_found(store: Store) -> None:
    await some_rows(store)
    await tampered(
        store,
        "INSERT INTO audit (at, author, address, request_id, action, kind, object_id, name) "
        "SELECT at, 'forger', address, request_id, action, kind, object_id, name FROM audit WHERE id = 2",
    )
    assert await findings(store) == [(6, "was put in by somebody else: it belongs to no chain")]


async def test_a_head_that_was_turned_back_with_its_rows_is_found_by_a_noted_one(store: Store) -> None:
    await some_rows(store)
    row, _, digest = (await store.audit.check()).head.partition(":")
    await tampered(
        store,
        "DELETE FROM audit WHERE id = 5",
        "UPDATE audit_head SET rows = 4, digest = (SELECT digest FROM audit WHERE id = 4)",
    )
    assert await findings(store) == []
    assert await findings(store, (int(row), digest)) == [(5, "is not there as it was noted")]


async def test_the_next_row_can_be_added_after_a_noted_head(store: Store) -> None:
    await some_rows(store)
    row, _, digest = (await store.audit.check()).head.partition(":")
    await store.create(Kind.TENANT, TenantSpec(name="one-more"), AUTHOR)
    assert await findings(store, (int(row), digest)) == []


async def test_writers_at_once_make_one_chain(store_settings: Settings) -> None:
    async with open_store(store_settings) as one, open_store(store_settings) as other:
        stores = (one, other)
        await asyncio.gather(
            *(
                stores[index % 2].create(Kind.TENANT, TenantSpec(name=f"tenant-{index}"), AUTHOR)
                for index in range(20)
            ),
            *(
                stores[index % 2].accounts.create(AccountSpec(name=f"account-{index}"), AUTHOR, None)
                for index in range(20)
            ),
        )
        check = await one.audit.check()
    assert (check.rows, check.findings) == (40, [])


async def test_rows_of_the_release_before_are_vouched_for_from_the_upgrade_on(
    postgres: TestPostgres, store_settings: Settings
) -> None:
    url = postgres.create()
    try:
        upgraded(url, "0003")
        connection = await asyncpg.connect(url)
        for name in ("a", "b"):
            await connection.execute(
                "INSERT INTO audit (at, author, address, request_id, action, kind, object_id, name, after) "
                "VALUES (now(), 'old', '', '', 'create', 'queue', $1, $2, '{\"timeout_s\": 1.50}')",
                *(uuid.uuid4(), name),
            )
        await connection.close()
        upgraded(url, "head")
        settings = store_settings.model_copy(update={"database_url": url})
        async with open_store(settings) as store:
            assert await findings(store) == []
            await some_rows(store, 2)
            check = await store.audit.check()
            assert (check.rows, check.findings) == (4, [])
            await tampered(store, "UPDATE audit SET author = 'new' WHERE id = 1")
            assert (3, "rows before this one were taken out, put in or changed") in await findings(store)
    finally:
        postgres.drop(url)


async def test_another_master_key_vouches_for_nothing(store: Store, store_settings: Settings) -> None:
    await some_rows(store, 1)
    master_key = SecretStr(base64.b64encode(b"another master key for tests, 32").decode())
    other = store_settings.model_copy(update={"master_key": master_key})
    async with open_store(other) as another:
        assert (1, "was written under another master key, or by somebody else") in await findings(another)
