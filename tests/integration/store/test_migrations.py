"""Each migration, on data of the release before."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor

import asyncpg

from controlplane.store.migrate import upgrade
from tests.fixtures.servers import TestPostgres

ACME, QUEUE = uuid.UUID(int=1), uuid.UUID(int=2)


def upgraded(url: str, revision: str) -> None:
    # A thread of its own, since the test's thread may have an event loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, upgrade(url, revision)).result()


async def test_0002_says_of_every_earlier_change_whose_it_was(postgres: TestPostgres) -> None:
    url = postgres.create()
    try:
        upgraded(url, "0001")
        connection = await asyncpg.connect(url)
        await connection.execute(
            "INSERT INTO tenant (id, name, source, labels, spec, secrets, version, created_at, updated_at) "
            "VALUES ($1, 'acme', 's', '{}', '{}', '{}', 1, now(), now())",
            ACME,
        )
        await connection.execute(
            "INSERT INTO revision (created_at, author, source, message) VALUES (now(), 'a', 's', '')"
        )
        for kind, object_id, document in (
            ("tenant", ACME, "{}"),
            ("queue", QUEUE, '{"tenant": "acme"}'),
            ("provider", uuid.UUID(int=3), "{}"),
        ):
            await connection.execute(
                "INSERT INTO revision_change (revision_id, kind, object_id, name, after) "
                "VALUES (1, $1, $2, 'n', jsonb_build_object('spec', $3::jsonb))",
                *(kind, object_id, document),
            )
            await connection.execute(
                "INSERT INTO audit (at, author, address, request_id, action, kind, object_id, name, after) "
                "VALUES (now(), 'a', '', '', 'create', $1, $2, 'n', $3::jsonb)",
                *(kind, object_id, document),
            )
        upgraded(url, "0002")
        for table in ("revision_change", "audit"):
            found = await connection.fetch(f"SELECT kind, tenant_id FROM {table} ORDER BY id")
            assert [tuple(row) for row in found] == [("tenant", ACME), ("queue", ACME), ("provider", None)]
        await connection.close()
    finally:
        postgres.drop(url)


async def test_0005_knows_of_no_gateway_what_it_can_do(postgres: TestPostgres) -> None:
    url = postgres.create()
    try:
        upgraded(url, "0004")
        connection = await asyncpg.connect(url)
        await connection.execute(
            "INSERT INTO gateway (id, name, source, labels, spec, secrets, version, created_at, updated_at) "
            "VALUES ($1, 'edge', 's', '{}', '{}', '{}', 1, now(), now())",
            ACME,
        )
        await connection.execute(
            "INSERT INTO gateway_state (gateway_id, state, applied_revision, writes, leader) "
            "VALUES ($1, 'converged', 7, 3, 'a')",
            ACME,
        )
        upgraded(url, "0005")
        found = await connection.fetchrow("SELECT state, applied_revision, plugins FROM gateway_state")
        assert found is not None
        assert tuple(found) == ("converged", 7, None)
        await connection.close()
    finally:
        postgres.drop(url)


async def test_0006_finds_no_drift_in_what_was_there_before(postgres: TestPostgres) -> None:
    url = postgres.create()
    try:
        upgraded(url, "0005")
        connection = await asyncpg.connect(url)
        gateway = uuid.UUID(int=7)
        await connection.execute(
            "INSERT INTO gateway (id, name, source, labels, spec, secrets, version, created_at, updated_at) "
            "VALUES ($1, 'edge', 's', '{}', '{}', '{}', 1, now(), now())",
            gateway,
        )
        await connection.execute(
            "INSERT INTO gateway_state (gateway_id, state, applied_revision, writes, leader) "
            "VALUES ($1, 'converged', 3, 9, '')",
            gateway,
        )
        await connection.execute(
            "INSERT INTO inventory (gateway_id, kind, object_id, hash, declared_by, state) "
            "VALUES ($1, 'routes', 'q.a', 'h', 'queue a', 'applied')",
            gateway,
        )
        upgraded(url, "0006")
        state = await connection.fetchrow(
            "SELECT writes, drift_found, looked_at, heal_asked_at FROM gateway_state"
        )
        assert tuple(state) == (9, 0, None, None)
        assert await connection.fetchval("SELECT drift FROM inventory WHERE hash = 'h'") is None
        assert await connection.fetchval("SELECT count(*) FROM adoption") == 0
        await connection.close()
    finally:
        postgres.drop(url)


async def test_0007_keeps_keys_that_never_had_another_text(postgres: TestPostgres) -> None:
    url = postgres.create()
    try:
        upgraded(url, "0006")
        connection = await asyncpg.connect(url)
        await connection.execute(
            "INSERT INTO key (id, name, source, labels, spec, secrets, version, created_at, updated_at, "
            "lookup) VALUES ($1, 'web', 's', '{}', '{}', '{}', 1, now(), now(), 'found-by')",
            ACME,
        )
        upgraded(url, "0007")
        found = await connection.fetchrow("SELECT lookup, old_lookups FROM key")
        assert found is not None
        assert tuple(found) == ("found-by", [])
        await connection.close()
    finally:
        postgres.drop(url)


async def test_0009_knows_of_no_key_when_it_was_used(postgres: TestPostgres) -> None:
    url = postgres.create()
    try:
        upgraded(url, "0008")
        connection = await asyncpg.connect(url)
        await connection.execute(
            "INSERT INTO key (id, name, source, labels, spec, secrets, version, created_at, updated_at, "
            "lookup) VALUES ($1, 'web', 's', '{}', '{}', '{}', 1, now(), now(), 'found-by')",
            ACME,
        )
        upgraded(url, "0009")
        assert await connection.fetchval("SELECT count(*) FROM key_use") == 0
        await connection.execute("INSERT INTO key_use VALUES ($1, now())", ACME)
        await connection.execute("DELETE FROM key")
        assert await connection.fetchval("SELECT count(*) FROM key_use") == 0
        await connection.close()
    finally:
        postgres.drop(url)
