"""A gateway that repeats what it was sent: no driver tells a secret of it, and none tells half of one."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from controlplane.core.objects import GatewayObject, Kind, ObjectKey, body_hash, packed
from controlplane.core.plan import Action, Plan, Reason, Step
from controlplane.core.secrets import SecretRef
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient, Retry
from controlplane.gateway.driver import Write
from controlplane.gateway.standalone import ApisixStandalone
from controlplane.reconciler.applying import apply
from tests.fixtures.services import serving
from tests.fixtures.standalone import StandaloneApisix

ADMIN_KEY = "canary-MnBvCxZl-of-the-Admin-API"
SECRET = 'sk-canary/"QzVwXk\\JrYpTd%2BHgNbLs'
THEIRS = "canary-LkJhGfDs-of-somebody-else"
ROUTE = ObjectKey(Kind.ROUTE, "r")
HANDLE = SecretRef("provider/1/api_key", "print", "Bearer ")
BODY = {"uri": "/a", "plugins": {"ai-proxy": {"auth": {"header": {"Authorization": HANDLE}}}}}
RESOLVED = {"uri": "/a", "plugins": {"ai-proxy": {"auth": {"header": {"Authorization": f"Bearer {SECRET}"}}}}}
STEP = Step(
    Action.CREATE, ROUTE, Reason.DECLARED, GatewayObject(ROUTE, packed(BODY), body_hash({}), "queue a")
)
CANARIES = (ADMIN_KEY, SECRET, THEIRS)

# Any: what ASGI hands over, and the JSON of gateway objects.

Quotes = Callable[[str], str]
QUOTES: dict[str, Quotes] = {
    "as it came": str,
    "in an error_msg": lambda sent: json.dumps({"error_msg": sent}),
    "in an error_msg of its own": lambda sent: json.dumps({"error_msg": {"reason": [sent]}}),
    "in an address": quote,
}


class Quoting:
    """An Admin API that answers every write with all that it was sent, with something before it."""

    def __init__(self, status: int, quotes: Quotes) -> None:
        self.status = status
        self.quotes = quotes
        self.words_before = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        sent, more = b"", True
        while more:
            message = await receive()
            sent += message.get("body", b"")
            more = message.get("more_body", False)
        headers = b" ".join(name + b": " + value for name, value in scope["headers"])
        text = "word " * self.words_before + f"{headers.decode()} {sent.decode()}"
        start = {"type": "http.response.start", "status": self.status, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": self.quotes(text).encode()})


@asynccontextmanager
async def driven(url: str, **options: Any) -> AsyncIterator[ApisixAdmin]:
    driver = ApisixAdmin(AdminClient(url, ADMIN_KEY, retry=Retry(attempts=1), **options))
    try:
        yield driver
    finally:
        await driver.close()


def shown_of_secrets(text: str) -> list[str]:
    """What of the planted secrets, long enough to be recognised, is in a text."""
    runs = [secret[at : at + 6] for secret in CANARIES for at in range(len(secret) - 5)]
    return [run for run in runs if run in text]


@pytest.mark.parametrize("status", [400, 503])
@pytest.mark.parametrize("way", QUOTES)
async def test_a_refusal_that_quotes_everything_tells_no_secret_wherever_it_is_cut(
    way: str, status: int
) -> None:
    gateway = Quoting(status, QUOTES[way])
    async with serving(gateway) as url, driven(url) as driver:
        for gateway.words_before in range(0, 110, 5):
            with pytest.raises((GatewayRefused, GatewayUnavailable)) as caught:
                await driver.write(ROUTE, json.dumps(RESOLVED).encode(), [SECRET])
            assert shown_of_secrets(str(caught.value)) == []
        for ask in (driver.read, driver.capabilities, lambda: driver.delete(ROUTE), driver.last_uses):
            with pytest.raises((GatewayRefused, GatewayUnavailable)) as caught:
                await ask()
            assert shown_of_secrets(str(caught.value)) == []
        with pytest.raises((GatewayRefused, GatewayUnavailable)) as caught:
            await driver.find([ROUTE])
        assert shown_of_secrets(str(caught.value)) == []


async def test_what_is_masked_says_so_and_the_rest_is_told() -> None:
    gateway = Quoting(400, QUOTES["as it came"])
    async with serving(gateway) as url, driven(url) as driver:
        with pytest.raises(GatewayRefused, match=r'"Bearer \*\*\*"') as caught:
            await driver.write(ROUTE, json.dumps(RESOLVED).encode(), [SECRET])
    assert "the gateway refused PUT routes/r: 400 " in str(caught.value)
    assert '"uri": "/a"' in str(caught.value)


async def test_the_results_of_a_plan_tell_no_secret_of_its_objects() -> None:
    gateway = Quoting(400, QUOTES["in an error_msg"])
    async with serving(gateway) as url, driven(url) as driver:
        driver.check = _nothing_against  # type: ignore[assignment,method-assign]
        for gateway.words_before in range(0, 110, 5):
            parts = [part async for part in apply(Plan((STEP,)), driver, {HANDLE.name: SECRET})]
            ((result,),) = parts
            assert result.error is not None
            assert shown_of_secrets(result.error) == []


async def _nothing_against(_: Any) -> dict[ObjectKey, str]:
    return {}


async def test_what_the_gateway_has_against_objects_is_told_without_its_key() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        reason = "word " * 98 + f"this came with {request.headers['X-API-KEY']}"
        return httpx.Response(
            400, json={"errors": [{"resource_type": "routes", "index": 0, "error": reason}]}
        )

    transport = httpx.MockTransport(answer)
    async with driven("http://gateway.internal", transport=transport) as driver:
        found = await driver.validate([STEP.wanted] if STEP.wanted else [])
    assert found.keys() == {ROUTE}
    assert shown_of_secrets(found[ROUTE]) == []


async def test_a_gateway_that_speaks_no_http_tells_no_secret_either() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError(f"illegal status line: {request.content!r} {request.headers!r}")

    transport = httpx.MockTransport(answer)
    async with driven("http://gateway.internal", transport=transport) as driver:
        with pytest.raises(GatewayUnavailable, match="illegal status line") as caught:
            await driver.write(ROUTE, json.dumps(RESOLVED).encode(), [SECRET])
    assert shown_of_secrets(str(caught.value)) == []


@pytest.mark.parametrize("status", [400, 500])
async def test_a_gateway_that_is_written_at_once_tells_nothing_of_the_others_on_it(status: int) -> None:
    gateway = StandaloneApisix()
    consumer = {"username": "other", "plugins": {"key-auth": {"key": THEIRS}}}
    gateway.config = {"consumers": [consumer], "consumers_conf_version": 1}

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return httpx.Response(status, text=f"{'word ' * words_before}{request.content.decode()}")
        return await inner.handle_async_request(request)

    inner = httpx.ASGITransport(app=gateway)
    client = AdminClient(
        "http://gateway", ADMIN_KEY, transport=httpx.MockTransport(answer), retry=Retry(attempts=1)
    )
    driver = ApisixStandalone(client, ())
    write = Write(ROUTE, RESOLVED, frozenset({SECRET}))
    await driver.read()
    for words_before in range(0, 110, 5):  # noqa: B007 - the gateway reads it
        with pytest.raises((GatewayRefused, GatewayUnavailable)) as caught:
            await driver.write_all([write])
        assert shown_of_secrets(str(caught.value)) == []
    words_before = 0
    with pytest.raises((GatewayRefused, GatewayUnavailable), match=r'"key":\s?"\*\*\*"'):
        await driver.write_all([write])
