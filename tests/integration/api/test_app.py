"""What the application does beside answering: its background, and the news of writes."""

import asyncio

from controlplane.app import create_app
from controlplane.settings import Settings
from controlplane.store.store import Store
from tests.fixtures.services import client, serving, until


async def test_a_background_that_fails_is_run_again_and_the_api_goes_on(
    store: Store, service_settings: Settings
) -> None:
    runs: list[str] = []

    async def background() -> None:
        runs.append("run")
        if len(runs) == 1:
            raise RuntimeError("the first time it fails")
        await asyncio.Event().wait()

    async def ran_again() -> bool:
        return len(runs) == 2

    app = create_app(service_settings, store, background=[background])
    async with serving(app) as url, client(url) as opened:
        await until(ran_again, "the second run")
        assert (await opened.get("/health/live")).status_code == 200


async def test_every_write_is_told_and_no_read_is(store: Store, service_settings: Settings) -> None:
    news: list[str] = []
    app = create_app(service_settings, store, wake=lambda: news.append("write"))
    async with serving(app) as url, client(url) as opened:
        for method, path, body in [
            ("POST", "/api/v1/tenants", {"name": "acme"}),
            ("PUT", "/api/v1/tenants/acme", {"name": "acme", "tier": "pro"}),
            ("PATCH", "/api/v1/tenants/acme", {"tier": None}),
            ("DELETE", "/api/v1/tenants/acme", None),
            ("POST", "/api/v1/apply", {"tenants": [{"name": "acme"}]}),
        ]:
            before = len(news)
            reply = await opened.request(method, path, json=body)
            assert reply.is_success, reply.text
            assert len(news) == before + 1
        await opened.get("/api/v1/tenants")
        await opened.post("/api/v1/tenants", json={"name": "acme"})
        assert len(news) == 5
