"""Secrets are planted everywhere, and nothing that the system says repeats one of them."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
from litestar.routes import HTTPRoute

from tests.fixtures.services import TOKEN, app_of
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, File, declared, queue

REDIS_PASSWORD = "canary-redis-4410"
OLD_PROVIDER_KEY = "sk-canary-provider-before-4411"
WRONG_PLACE = "sk-canary-in-the-wrong-place-4412"
COMMANDS = (
    *("history", "show 4", "diff 2", "rollback 2 --dry-run", "rollback 2 --dry-run -o json"),
    *("export --source team", "export --source team --secrets env", "import --from-gateway edge"),
    *("audit", "audit -o json", "audit -o jsonl", "drift -o markdown", "describe queue support"),
    *("get providers -o yaml", "get keys -o json", "get gateways -o json", "account list"),
)


async def planted(world: World, ctl: Ctl, file: File) -> list[str]:
    """Every secret that the system has been told or has made."""
    first = declared(providers=[{"name": "mock", "type": "openai", "api_key": OLD_PROVIDER_KEY}])
    await ctl("apply", *file.write(first), "--yes")
    await ctl("apply", *file.write(declared()), "--yes")
    async with world.api() as api:
        redis = {"redis_url": f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"}
        (await api.patch("/api/v1/gateways/edge", json=redis)).raise_for_status()
        made = (await api.post("/api/v1/keys", json={"name": "made-up", "queues": ["support"]})).json()["key"]
        another = (await api.post("/api/v1/keys/made-up/rotate")).json()["key"]
        await api.post("/api/v1/accounts", json={"name": "anna", "role": "viewer"})
        token = (await api.post("/api/v1/accounts/anna/tokens", json={})).json()["text"]
        session = (await api.post("/auth/session", json={"token": token})).cookies["sluice_session"]
        await in_wrong_places(api)
    held = [PROVIDER_KEY, OLD_PROVIDER_KEY, CLIENT_KEY, ADMIN_KEY, REDIS_PASSWORD, WRONG_PLACE, TOKEN]
    return [*held, made, another, token, session]


async def in_wrong_places(api: httpx.AsyncClient) -> None:
    """Secrets where none belongs; the answers must not repeat them."""
    for body in (
        {"name": "x", "type": "openai", "apikey": WRONG_PLACE},
        {"name": WRONG_PLACE + "!", "type": "openai"},
        {"name": "x", "type": "openai", "api_key": {"value": WRONG_PLACE}},
        {"name": "x", "type": "openai", "endpoint": f"https://user:{WRONG_PLACE}@example.com"},
    ):
        answer = await api.post("/api/v1/providers", json=body)
        assert answer.status_code == 422
        assert WRONG_PLACE not in answer.text, body
    key = {"name": "x", "key": f"two words {WRONG_PLACE}"}
    for path, sent in (
        ("keys", key),
        ("plan", {"keys": [key]}),
        ("apply", {"queues": [queue(key=WRONG_PLACE)]}),
    ):
        answer = await api.post(f"/api/v1/{path}", json=sent)
        assert answer.status_code == 422
        assert WRONG_PLACE not in answer.text, path


def addresses(world: World) -> Iterator[str]:
    """Every address that can be read, with something that is there in place of its parameters."""
    there = {
        "providers": "mock",
        "queues": "support",
        "keys": "web",
        "gateways": "edge",
        "accounts": "anna",
        "revisions": "2",
    }
    for route in app_of(world.settings, world.store).routes:
        if isinstance(route, HTTPRoute) and "GET" in route.methods:
            section = route.path_format.split("/")[3] if route.path_format.count("/") > 2 else ""
            yield re.sub(r"\{[^}]*\}", there.get(section, "none"), route.path_format)


async def test_nothing_that_is_said_repeats_a_secret(
    ctl: Ctl, file: File, world: World, tmp_path: Path
) -> None:
    secrets = await planted(world, ctl, file)
    said: dict[str, str] = {}
    async with world.api() as api:
        for path in addresses(world):
            said[path] = (await api.get(path)).text
    for command in COMMANDS:
        code, out, err = await ctl(*command.split())
        assert code != 1, (command, err)
        said[command] = out + err
    async with world.admin() as admin:
        said["metrics"] = (await admin.get("/apisix/prometheus/metrics")).text
    for where, text in said.items():
        assert [secret for secret in secrets if secret in text] == [], where
    assert len(said) > 40


async def test_no_table_but_the_sealed_ones_holds_a_secret(ctl: Ctl, file: File, world: World) -> None:
    secrets = await planted(world, ctl, file)
    async with world.store.database.connection() as connection:
        for (table,) in await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ):
            rows = str(await connection.fetch(f'SELECT t::text FROM "{table}" t'))
            assert [secret for secret in secrets if secret in rows] == [], table
