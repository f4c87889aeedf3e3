"""Requests at the edge of what HTTP allows."""

import base64
import gzip

import httpx
import pytest

from controlplane.store.records import Kind
from tests.fixtures.specs import queue

ODD_CURSORS = ["*", "AAAA", base64.urlsafe_b64encode(b"no name").decode(), "YQ=x", "é", "a" * 2000]


async def tenant(api: httpx.AsyncClient) -> str:
    """A tenant `acme`; its ETag."""
    reply = await api.post("/api/v1/tenants", json={"name": "acme"})
    assert reply.headers["location"] == "/api/v1/tenants/acme"
    return reply.headers["etag"]


@pytest.mark.parametrize("cursor", ODD_CURSORS)
async def test_a_cursor_that_no_list_gave_is_refused(api: httpx.AsyncClient, cursor: str) -> None:
    reply = await api.get("/api/v1/queues", params={"cursor": cursor})
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, "cursor")


async def test_a_filter_that_a_kind_does_not_have_is_refused_rather_than_ignored(
    api: httpx.AsyncClient,
) -> None:
    for path in ("providers?tenant=acme", "queues?type=openai", "gateways?tenant=acme", "tenants?type=a"):
        assert (await api.get(f"/api/v1/{path}")).status_code == 400
    for path in ("providers?type=openai", "queues?tenant=acme", "keys?tenant=acme&label=a=b&source=x"):
        assert (await api.get(f"/api/v1/{path}")).json() == {"items": [], "next_cursor": None}


async def test_show_secrets_is_true_or_false(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/gateways", json={"name": "edge", "admin_url": "http://127.0.0.1:1"})
    assert (await api.get("/api/v1/gateways/edge?show_secrets=yes")).status_code == 400
    assert (await api.get("/api/v1/queues/edge?show_secrets=true")).status_code == 400


async def test_one_of_several_etags_is_enough(api: httpx.AsyncClient) -> None:
    etag = await tenant(api)
    wanted = {"If-Match": f'"999999", {etag}'}
    assert (await api.patch("/api/v1/tenants/acme", json={"tier": "pro"}, headers=wanted)).status_code == 200
    again = await api.patch("/api/v1/tenants/acme", json={"tier": "pro"}, headers=wanted)
    assert again.status_code == 412


@pytest.mark.parametrize("etag", ["", "7", '"7', '"7" "8"', '"a\x01"', '"7",,', "**"])
async def test_a_malformed_if_match_is_refused(api: httpx.AsyncClient, etag: str) -> None:
    await tenant(api)
    reply = await api.delete("/api/v1/tenants/acme", headers=[(b"If-Match", etag.encode())])
    assert reply.status_code == 400


@pytest.mark.parametrize("etag", ['"other"', 'W/"1"', '"0"', '"99999999999999999999"', '"-1"'])
async def test_an_etag_that_is_not_ours_never_matches(api: httpx.AsyncClient, etag: str) -> None:
    await tenant(api)
    reply = await api.delete("/api/v1/tenants/acme", headers={"If-Match": etag})
    assert reply.status_code == 412


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("APPLICATION/JSON ;x=y", 201),
        ("application/merge-patch+json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/x-msgpack", 415),
        ("", 415),
        (";", 415),
        ("\xe9", 415),
    ],
)
async def test_only_json_is_read(api: httpx.AsyncClient, content_type: str, status: int) -> None:
    sent = [(b"Content-Type", content_type.encode("latin-1"))]
    reply = await api.post("/api/v1/tenants", content=b'{"name": "acme"}', headers=sent)
    assert reply.status_code == status, reply.text


async def test_a_patch_may_call_itself_a_merge_patch(api: httpx.AsyncClient) -> None:
    await tenant(api)
    headers = {"Content-Type": "application/merge-patch+json"}
    reply = await api.patch("/api/v1/tenants/acme", content=b'{"tier": "pro"}', headers=headers)
    assert reply.json()["tier"] == "pro"


async def test_a_compressed_body_is_refused(api: httpx.AsyncClient) -> None:
    body, headers = gzip.compress(b'{"name": "acme"}'), {"Content-Encoding": "gzip"}
    reply = await api.post("/api/v1/tenants", content=body, headers=headers)
    assert reply.status_code == 415


@pytest.mark.parametrize(
    "patch",
    [
        b"null",
        b'"x"',
        b"[]",
        b'{"name": null}',
        b'{"members": null}',
        b'{"limits": {"0": {}}}',
        b'{"id": "x"}',
        b'{"timeout_s": 1e400}',
        b'{"timeout_s": -1e400}',
        b'{"labels": {"\\u0000": "\\ud800"}}',
    ],
)
async def test_an_odd_patch_is_a_clear_error(api: httpx.AsyncClient, patch: bytes) -> None:
    await api.post("/api/v1/apply", json={"providers": [{"name": "openai-main", "type": "openai"}]})
    assert (await api.post("/api/v1/queues", json=queue())).status_code == 201
    headers = {"Content-Type": "application/json"}
    reply = await api.patch("/api/v1/queues/support", content=patch, headers=headers)
    assert reply.status_code in (400, 422), reply.text
    assert all(item["message"] for item in reply.json()["errors"])


async def test_a_body_over_the_limit_leaves_the_connection_usable(api: httpx.AsyncClient) -> None:
    reply = await api.post("/api/v1/tenants", content=b" " * 10_000_000)
    assert (reply.status_code, reply.headers["content-type"]) == (413, "application/problem+json")
    assert (await api.post("/api/v1/tenants", json={"name": "acme"})).status_code == 201


async def test_a_name_may_be_changed_and_a_very_long_one_is_refused(api: httpx.AsyncClient) -> None:
    await tenant(api)
    long = await api.post("/api/v1/tenants", json={"name": "x" * 100_000})
    assert (long.status_code, long.json()["errors"][0]["field"]) == (422, "name")
    assert len(long.text) < 2000


@pytest.mark.parametrize("kind", Kind)
async def test_the_methods_of_an_address_are_told(api: httpx.AsyncClient, kind: Kind) -> None:
    one = await api.options(f"/api/v1/{kind.plural}/a")
    many = await api.options(f"/api/v1/{kind.plural}")
    assert (one.status_code, one.headers["allow"]) == (204, "GET, PUT, PATCH, DELETE, OPTIONS")
    assert (many.status_code, many.headers["allow"]) == (204, "GET, POST, OPTIONS")


async def test_what_leads_nowhere_has_a_request_id_too(api: httpx.AsyncClient) -> None:
    reply = await api.get("/nowhere", headers={"X-Request-Id": "mine"})
    assert (reply.status_code, reply.headers["x-request-id"]) == (404, "mine")
    assert reply.headers["content-type"] == "application/problem+json"
