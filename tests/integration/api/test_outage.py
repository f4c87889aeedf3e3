"""The API while Postgres is out of reach, and afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from controlplane.app import create_app
from controlplane.settings import Settings
from controlplane.store.store import open_store
from tests.fixtures.cuttable import CuttableLine, cuttable
from tests.fixtures.services import client, serving, until


@asynccontextmanager
async def api_behind_a_line(settings: Settings) -> AsyncIterator[tuple[CuttableLine, httpx.AsyncClient]]:
    """A client of a service whose way to Postgres can be cut."""
    address = urlsplit(settings.database_url or "")
    async with cuttable(address.hostname or "", address.port or 0) as line:
        credentials = address.netloc.rpartition("@")[0]
        url = address._replace(netloc=f"{credentials}@127.0.0.1:{line.port}").geturl()
        behind = settings.model_copy(update={"database_url": url})
        async with (
            open_store(behind) as store,
            serving(create_app(behind, store)) as served,
            client(served) as opened,
        ):
            yield line, opened


async def test_a_database_that_is_gone_is_told_and_the_service_heals(service_settings: Settings) -> None:
    async with api_behind_a_line(service_settings) as (line, api):
        assert (await api.post("/api/v1/tenants", json={"name": "acme"})).status_code == 201

        await line.cut()
        for method, path in [("GET", "/api/v1/tenants"), ("DELETE", "/api/v1/tenants/acme")]:
            reply = await api.request(method, path)
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert reply.headers["content-type"] == "application/problem+json"
        ready = await api.get("/health/ready")
        assert (ready.status_code, list(ready.json()["parts"])) == (503, ["database"])
        assert (await api.get("/health/live")).status_code == 200

        await line.mend()

        async def healed() -> bool:
            return (await api.get("/health/ready")).status_code == 200

        await until(healed, "the service")
        assert (await api.get("/api/v1/tenants/acme")).status_code == 200


async def test_a_database_that_says_nothing_does_not_make_the_probe_hang(service_settings: Settings) -> None:
    async with api_behind_a_line(service_settings) as (line, api):
        assert (await api.get("/health/ready")).status_code == 200
        line.freeze()
        ready = await api.get("/health/ready")
        assert (ready.status_code, list(ready.json()["parts"])) == (503, ["database"])
        await line.mend()
