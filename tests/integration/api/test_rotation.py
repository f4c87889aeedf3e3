"""Rotating keys over the REST API: what is made, kept, refused and told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from controlplane.settings import Settings
from controlplane.store.desired import DesiredReader
from controlplane.store.store import Store
from tests.fixtures.specs import document

# Any: JSON.


@pytest.fixture
async def first(api: httpx.AsyncClient) -> str:
    """A declared key's text."""
    reply = await api.post("/api/v1/apply", json=document(keys=[{"name": "web", "queues": ["support"]}]))
    assert reply.status_code == 200, reply.text
    text: str = reply.json()["keys"][0]["key"]
    return text


async def rotated(api: httpx.AsyncClient, overlap: str | None = None, status: int = 200) -> dict[str, Any]:
    body = None if overlap is None else {"overlap": overlap}
    reply = await api.post("/api/v1/keys/web/rotate", json=body)
    assert reply.status_code == status, reply.text
    shown: dict[str, Any] = reply.json()
    return shown


async def old_texts(store: Store) -> list[datetime]:
    """When the texts end that the key had before, as the reconciler reads it."""
    state = await DesiredReader(store.database).read()
    return sorted(text.ends_at for text in state.keys["web"].old_texts)


async def test_a_rotated_key_shows_its_new_text_once_and_says_until_when_the_old_one_works(
    api: httpx.AsyncClient, store: Store, first: str
) -> None:
    before = datetime.now(UTC)
    made = await rotated(api)
    assert made["key"].startswith("sk-sluice-")
    assert made["key"] != first
    (until,) = map(datetime.fromisoformat, made["old_texts_until"])
    assert before + timedelta(hours=23) < until < before + timedelta(hours=25)
    shown = (await api.get("/api/v1/keys/web")).json()
    assert (shown["key"], shown["old_texts_until"]) == ("***", made["old_texts_until"])
    assert await old_texts(store) == [until]


async def test_rotating_again_leaves_each_old_text_its_own_window(
    api: httpx.AsyncClient, store: Store, first: str
) -> None:
    await rotated(api, "1h")
    made = await rotated(api, "2h")
    assert len(made["old_texts_until"]) == 2
    assert [text.isoformat() for text in await old_texts(store)] == made["old_texts_until"]


async def test_an_overlap_of_nothing_ends_every_earlier_text_at_once(
    api: httpx.AsyncClient, store: Store, first: str
) -> None:
    await rotated(api, "1h")
    assert (await rotated(api, "0"))["old_texts_until"] == []
    assert await old_texts(store) == []


async def test_a_key_with_many_open_windows_is_not_rotated_again_until_one_ends(
    api: httpx.AsyncClient, first: str
) -> None:
    for _ in range(4):
        await rotated(api, "1h")
    assert "overlap of 0" in (await rotated(api, "1h", 409))["remedy"]
    await rotated(api, "0")


@pytest.mark.parametrize(
    "change", [{"enabled": False}, {"expires_at": "2020-01-01T00:00:00Z"}], ids=["disabled", "expired"]
)
async def test_a_key_that_opens_nothing_is_not_rotated(
    api: httpx.AsyncClient, first: str, change: dict[str, Any]
) -> None:
    await api.patch("/api/v1/keys/web", json=change)
    assert (await rotated(api, "1h", 409))["detail"].startswith("key 'web'")


async def test_a_wrong_overlap_is_told_with_its_field(api: httpx.AsyncClient, first: str) -> None:
    assert (await rotated(api, "soon", 422))["errors"][0]["field"] == "overlap"
    reply = await api.post("/api/v1/keys/nobody/rotate")
    assert reply.status_code == 404
    stale = await api.post("/api/v1/keys/web/rotate", headers={"If-Match": '"999"'})
    assert stale.status_code == 412


async def test_other_changes_of_a_key_leave_its_windows_open_and_writing_its_text_ends_them(
    api: httpx.AsyncClient, store: Store, first: str
) -> None:
    await rotated(api, "1h")
    await api.patch("/api/v1/keys/web", json={"labels": {"team": "a"}})
    assert len(await old_texts(store)) == 1
    await api.patch("/api/v1/keys/web", json={"key": "sk-written-by-hand-0001"})
    assert await old_texts(store) == []


async def test_a_text_of_ours_that_is_mistyped_is_refused_and_not_repeated(
    api: httpx.AsyncClient, first: str
) -> None:
    letter = "a" if first[12] != "a" else "b"
    mistyped = first[:12] + letter + first[13:]
    for reply in (
        await api.post("/api/v1/keys", json={"name": "other", "key": mistyped}),
        await api.patch("/api/v1/keys/web", json={"key": mistyped}),
    ):
        assert reply.status_code == 422
        assert "checksum" in reply.json()["errors"][0]["message"]
        assert mistyped not in reply.text


async def test_an_old_text_is_nobody_else_s(api: httpx.AsyncClient, first: str) -> None:
    await rotated(api, "1h")
    reply = await api.post("/api/v1/keys", json={"name": "other", "key": first})
    assert reply.status_code == 409
    assert (await api.patch("/api/v1/keys/web", json={"key": first})).status_code == 200


async def test_a_rollback_brings_no_text_back_that_was_rotated_away(
    api: httpx.AsyncClient, store_settings: Settings, first: str
) -> None:
    assert store_settings.database_url is not None
    connection = await asyncpg.connect(store_settings.database_url)

    async def kept() -> str:
        found: str = await connection.fetchval("SELECT secrets::text FROM key WHERE name = 'web'")
        return found

    start = (await api.get("/api/v1/revisions?limit=1")).json()["items"][0]["id"]
    await rotated(api, "1h")
    after = await kept()
    await api.patch("/api/v1/keys/web", json={"labels": {"team": "a"}})
    assert (await api.post(f"/api/v1/revisions/{start}/rollback")).status_code == 200
    assert (await api.get("/api/v1/keys/web")).json()["labels"] == {}
    assert await kept() == after

    await api.delete("/api/v1/keys/web")
    assert (await api.post(f"/api/v1/revisions/{start}/rollback")).status_code == 200
    assert await kept() == after
    await connection.close()


async def test_a_rotation_is_in_history_and_audit_without_any_text(
    api: httpx.AsyncClient, first: str
) -> None:
    made = await rotated(api, "1h")
    row = (await api.get("/api/v1/audit?action=rotate")).json()["items"][0]
    assert (row["kind"], row["name"]) == ("key", "web")
    change = (await api.get(f"/api/v1/revisions/{made['version']}")).json()["changes"][0]
    assert change["fields"][0]["after"] == "*** (another secret)"
    told = str(row) + str(change)
    assert first not in told
    assert made["key"] not in told


async def test_an_export_is_applied_again_without_ending_a_window(
    api: httpx.AsyncClient, store: Store, first: str
) -> None:
    await rotated(api, "1h")
    exported = (await api.get("/api/v1/export")).json()["documents"][0]
    assert (await api.post("/api/v1/apply", json=exported)).json()["changes"] == []
    assert len(await old_texts(store)) == 1
