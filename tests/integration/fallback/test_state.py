"""What a gateway keeps: across a restart, on disk, and where secrets are kept elsewhere."""

import base64
from pathlib import Path

import pytest

from controlplane.errors import Unavailable
from tests.integration.fallback.conftest import HELLO, Bench, running

SECRET = "sk-very-secret-of-a-provider"
MASTER = bytes(range(32))


async def fill(bench: Bench) -> None:
    """Objects of several kinds that refer to each other."""
    member = bench.instance(auth={"header": {"Authorization": f"Bearer {SECRET}"}})
    await bench.put("consumer_groups/g1", {"plugins": {"request-id": {}}})
    await bench.put("consumers/ann", {"username": "ann", "group_id": "g1"})
    await bench.put("consumers/ann/credentials/c1", {"plugins": {"key-auth": {"key": "key-of-ann"}}})
    await bench.put("plugin_configs/p1", {"plugins": {"key-auth": {}}})
    await bench.put("services/s1", {"plugins": {"ai-proxy-multi": {"instances": [member]}}})
    await bench.put("routes/r1", {"uri": "/chat", "service_id": "s1", "plugin_config_id": "p1"})
    await bench.put("routes/gone", {"uri": "/gone", "service_id": "s1"})
    assert (await bench.admin.delete("/apisix/admin/routes/gone")).status_code == 200


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "gateway") as bench:
        await fill(bench)
        before = (await bench.admin.get("/apisix/admin/routes/r1")).json()
    async with running(tmp_path / "gateway") as bench:
        assert (await bench.admin.get("/apisix/admin/routes/r1")).json() == before
        assert (await bench.admin.get("/apisix/admin/routes/gone")).status_code == 404
        assert (await bench.call()).status_code == 401
        await bench.put("routes/r2", {"uri": "/two", "service_id": "s1"})
        after = (await bench.admin.get("/apisix/admin/routes/r2")).json()
        assert after["modifiedIndex"] > before["modifiedIndex"]


async def test_calls_are_served_as_before_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path / "gateway") as bench:
        await bench.put("consumers/ann", {"username": "ann"})
        await bench.put("consumers/ann/credentials/c1", {"plugins": {"key-auth": {"key": "key-of-ann"}}})
        await bench.route({"key-auth": {}}, labels={"kept": "yes"})
        endpoint = bench.mock.base_url
    async with running(tmp_path / "gateway") as bench:
        # The provider of the first run is gone; the objects name it still.
        value = (await bench.admin.get("/apisix/admin/routes/r1")).json()["value"]
        assert value["plugins"]["ai-proxy-multi"]["instances"][0]["override"]["endpoint"].startswith(endpoint)
        assert (await bench.call(apikey="key-of-ann")).status_code == 500
        assert (await bench.call(apikey="key-of-bob")).status_code == 401


async def test_no_secret_is_on_disk_in_the_clear(tmp_path: Path) -> None:
    async with running(tmp_path / "gateway", master_key=MASTER) as bench:
        await fill(bench)
        reply = await bench.admin.get("/apisix/admin/services/s1")
        assert SECRET in reply.text
    for path in (tmp_path / "gateway").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert SECRET.encode() not in data
            assert b"key-of-ann" not in data
            assert base64.b64encode(SECRET.encode()) not in data
            assert path.stat().st_mode & 0o077 == 0


async def test_a_wrong_master_key_is_an_error_that_says_so(tmp_path: Path) -> None:
    async with running(tmp_path / "gateway", master_key=MASTER) as bench:
        await fill(bench)
    with pytest.raises(Unavailable, match="sealed with another key"):
        async with running(tmp_path / "gateway", master_key=bytes(32)):
            pass


async def test_a_record_that_was_cut_off_is_forgotten_and_the_rest_kept(tmp_path: Path) -> None:
    async with running(tmp_path / "gateway") as bench:
        await fill(bench)
    journal = tmp_path / "gateway" / "state.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"key":"/routes/torn","value":{"uri":"/t')
    async with running(tmp_path / "gateway") as bench:
        assert (await bench.admin.get("/apisix/admin/routes/r1")).status_code == 200
        assert (await bench.admin.get("/apisix/admin/routes/torn")).status_code == 404
        await bench.put("routes/new", {"uri": "/new", "service_id": "s1"})
    async with running(tmp_path / "gateway") as bench:
        assert (await bench.admin.get("/apisix/admin/routes/new")).status_code == 200


async def test_a_secret_of_the_environment_is_used_and_never_shown(bench: Bench) -> None:
    member = bench.instance(auth={"header": {"Authorization": "$env://PROVIDER_KEY"}})
    await bench.put(
        "consumers/ann", {"username": "ann", "plugins": {"key-auth": {"key": "$ENV://PROVIDER_KEY"}}}
    )
    plugins = {"ai-proxy-multi": {"instances": [member]}, "key-auth": {}}
    await bench.put("routes/r1", {"uri": "/chat", "plugins": plugins})
    reply = await bench.client.post("/chat", json=HELLO, headers={"apikey": "sk-from-the-environment"})
    assert reply.status_code == 200
    assert bench.mock.requests[-1].headers["authorization"] == "sk-from-the-environment"
    for path in ("routes/r1", "consumers/ann"):
        assert "sk-from-the-environment" not in (await bench.admin.get(f"/apisix/admin/{path}")).text
