"""The driver of the Admin API at its edges: what is tried again, and what is not."""

import httpx
import pytest

from controlplane.core.objects import Kind, ObjectKey
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient, Retry

ROUTE = ObjectKey(Kind.ROUTE, "q.support")


def driver(*answers: httpx.Response | Exception) -> tuple[ApisixAdmin, list[str]]:
    """A driver whose gateway gives these answers in turn, the last one for ever; and what it was asked."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        given = answers[min(len(asked), len(answers)) - 1]
        if isinstance(given, Exception):
            raise given
        return given

    async def no_sleep(_: float) -> None:
        return

    client = AdminClient(
        "http://gateway.internal:9180",
        "key",
        transport=httpx.MockTransport(answer),
        retry=Retry(attempts=3),
        sleep=no_sleep,
    )
    return ApisixAdmin(client), asked


async def test_a_gateway_that_is_not_well_is_asked_again() -> None:
    admin, asked = driver(httpx.Response(503), httpx.ConnectError("refused"), httpx.Response(201, json={}))
    await admin.write(ROUTE, {"uri": "/x"})
    assert asked == ["PUT /apisix/admin/routes/q.support"] * 3


async def test_a_gateway_that_stays_ill_is_told_as_unavailable() -> None:
    admin, asked = driver(httpx.Response(500, json={"error_msg": "no etcd"}))
    with pytest.raises(GatewayUnavailable, match="no etcd"):
        await admin.write(ROUTE, {})
    assert len(asked) == 3


async def test_a_refusal_is_final() -> None:
    admin, asked = driver(httpx.Response(400, json={"error_msg": "invalid configuration"}))
    with pytest.raises(GatewayRefused, match="invalid configuration"):
        await admin.write(ROUTE, {})
    assert len(asked) == 1


async def test_what_is_gone_already_counts_as_deleted() -> None:
    admin, _ = driver(httpx.Response(404, json={"message": "Key not found"}))
    await admin.delete(ROUTE)


async def test_a_delete_waits_until_the_gateway_knows_that_the_last_user_is_gone() -> None:
    still = httpx.Response(400, json={"error_msg": "can not delete: route [a] is still using it now"})
    admin, asked = driver(still, httpx.Response(200, json={"deleted": "1"}))
    await admin.delete(ROUTE)
    assert len(asked) == 2
    stubborn, asked = driver(still)
    with pytest.raises(GatewayRefused, match="still using"):
        await stubborn.delete(ROUTE)
    assert len(asked) == 3


async def test_an_answer_without_json_is_told_as_such() -> None:
    admin, _ = driver(httpx.Response(200, text="<html>"))
    with pytest.raises(GatewayUnavailable, match="without JSON"):
        await admin.read()


@pytest.mark.parametrize(
    "url", ["http://gateway.internal:9180/apisix/admin", "http://gateway.internal:9180/"]
)
async def test_the_address_may_name_the_admin_api_s_path_or_not(url: str) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json=["limit-count"], headers={"Server": "APISIX/3.18.0"})

    admin = ApisixAdmin(AdminClient(url, "key", transport=httpx.MockTransport(answer)))
    capabilities = await admin.capabilities()
    assert seen == ["http://gateway.internal:9180/apisix/admin/plugins/list"]
    assert (capabilities.version, capabilities.plugins) == ("3.18.0", frozenset({"limit-count"}))


async def test_a_stamp_is_that_of_what_was_read() -> None:
    lists = {"consumers": '{"list":[{"value":{"username":"web"}}]}', "routes": '{"list":[]}'}

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/apisix/admin/")
        return httpx.Response(200, text=lists[path]) if path in lists else httpx.Response(404)

    admin = ApisixAdmin(AdminClient("http://gateway", "key", transport=httpx.MockTransport(answer)))
    await admin.read()
    assert admin.read_stamp is not None
    assert await admin.stamp() == admin.read_stamp
    lists["consumers/web/credentials"] = '{"list":[{"value":{"id":"raw"}}]}'
    assert await admin.stamp() not in (None, admin.read_stamp)


async def test_a_gateway_in_trouble_has_no_stamp() -> None:
    admin, _ = driver(httpx.Response(503))
    assert await admin.stamp() is None


async def test_an_answer_without_a_list_is_no_gateway_that_is_empty() -> None:
    admin, _ = driver(httpx.Response(200, json={"status": "ok"}))
    with pytest.raises(GatewayUnavailable, match="no Admin API"):
        await admin.read()
