"""Which route a request takes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.fallback.routing.router import Router
from controlplane.fallback.routing.routes import CompiledRoute
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.state.store import Store
from tests.unit.fallback.requests import request, with_body


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path / "gateway", None, lambda name, consumer: ())
    yield opened
    opened.close()


async def fill(store: Store, **routes: dict[str, Any]) -> None:
    for name, value in routes.items():
        await store.put(f"/routes/{name}", {"id": name, **value})


def taken(router: Router, target: str, **changes: Any) -> str | None:
    found = router.find(request(target, **changes))
    return found.removeprefix("/routes/") if found is not None else None


async def test_an_exact_address_goes_before_a_prefix_and_a_longer_prefix_before_a_shorter(
    store: Store,
) -> None:
    await fill(store, all={"uri": "/*"}, a={"uri": "/a/*"}, ab={"uri": "/a/b"})
    router = Router(store)
    assert [taken(router, path) for path in ("/a/b", "/a/c", "/a", "/x", "/a/b/c")] == [
        "ab",
        "a",
        "all",
        "all",
        "a",
    ]


async def test_among_equal_addresses_priority_decides_and_then_who_was_first(store: Store) -> None:
    await fill(store, one={"uri": "/a"}, two={"uri": "/a"}, three={"uri": "/a", "priority": 5})
    router = Router(store)
    assert taken(router, "/a") == "three"
    await store.delete("/routes/three")
    assert taken(router, "/a") == "one"
    await fill(store, one={"uri": "/a", "methods": ["GET"]})
    assert taken(router, "/a") == "two"
    assert taken(router, "/a", method="GET") == "one"


async def test_a_route_with_hosts_goes_first_where_its_host_is_asked_for(store: Store) -> None:
    await fill(
        store,
        any={"uri": "/a"},
        exact={"uri": "/*", "host": "gateway.test"},
        below={"uri": "/*", "hosts": ["*.example", "*.other"]},
    )
    router = Router(store)
    assert taken(router, "/a") == "exact"
    assert taken(router, "/a", host="x.y.example") == "below"
    assert taken(router, "/a", host="X.EXAMPLE:8080") == "below"
    assert taken(router, "/a", host="elsewhere") == "any"


async def test_conditions_and_addresses_of_clients_are_looked_at(store: Store) -> None:
    await fill(
        store,
        near={"uri": "/a", "remote_addrs": ["192.0.2.0/24"], "priority": 1},
        far={"uri": "/a", "remote_addr": "198.51.100.1", "priority": 2},
        team={"uri": "/a", "vars": [["http_x_team", "==", "red"]], "priority": 3},
        off={"uri": "/a", "status": 0, "priority": 9},
    )
    router = Router(store)
    assert taken(router, "/a") == "near"
    assert taken(router, "/a", x_team="red") == "team"


async def test_a_star_in_the_middle_matches_one_part_or_more(store: Store) -> None:
    await fill(store, middle={"uri": "/a/*/c"}, colon={"uri": "/b/:name"})
    router = Router(store)
    assert taken(router, "/a/b/c") == "middle"
    assert taken(router, "/a/b/d") is None
    assert taken(router, "/b/:name") == "colon"
    assert taken(router, "/b/x") is None


async def test_hosts_of_a_service_hold_for_its_routes(store: Store) -> None:
    await store.put("/services/s", {"id": "s", "hosts": ["one.test"]})
    await fill(store, r={"uri": "/a", "service_id": "s"})
    router = Router(store)
    assert taken(router, "/a", host="one.test") == "r"
    assert taken(router, "/a") is None
    await store.put("/services/s", {"id": "s", "hosts": ["gateway.test"]})
    assert taken(router, "/a") == "r"
    assert taken(router, "/a", host="one.test") is None


async def test_a_request_is_compared_with_few_of_very_many_routes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 10_000
    await asyncio.gather(
        *(
            store.put(
                f"/routes/r{number}",
                {"id": f"r{number}", "uri": "/v1/chat", "vars": [["post_arg.model", "==", f"m{number}"]]},
            )
            for number in range(many)
        ),
        *(
            store.put(f"/routes/p{number}", {"id": f"p{number}", "uri": f"/p{number}/*"})
            for number in range(many)
        ),
    )
    router = Router(store)
    compared = 0
    accepts = CompiledRoute.accepts

    def counted(route: CompiledRoute, context: Context) -> bool:
        nonlocal compared
        compared += 1
        return accepts(route, context)

    monkeypatch.setattr(CompiledRoute, "accepts", counted)
    asked = await with_body(request("/v1/chat", body={"model": "m9999"}))
    assert router.find(asked) == "/routes/r9999"
    assert taken(router, "/p5432/x/y") == "p5432"
    assert taken(router, "/nowhere") is None
    assert compared <= 4
    for number in range(many):
        await store.delete(f"/routes/r{number}") if number % 100 == 0 else None
    assert len(router) == 2 * many - many // 100
