"""Lists of a gateway are taken item by item, however they are written."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.lists import PackedBody, listed

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=4)

# Any: JSON.


async def bits(content: bytes, size: int) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]


async def listed_in(content: bytes, size: int) -> list[tuple[dict[str, Any], PackedBody]]:
    return [each async for each in listed(bits(content, size))]


def taken(text: str, size: int = 10_000) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found = asyncio.run(listed_in(text.encode(), size))
    return [(value, dict(body.items())) for value, body in found]


@given(BODIES, st.sampled_from([None, 1]), st.booleans(), st.integers(1, 50))
def test_every_item_is_what_the_whole_list_holds_however_it_comes_in(
    bodies: list[dict[str, Any]], indent: int | None, total_first: bool, size: int
) -> None:
    items = [{"key": f"/apisix/{number}", "value": body} for number, body in enumerate(bodies)]
    parts = {"total": len(items), "list": items} if total_first else {"list": items, "total": len(items)}
    text = json.dumps(parts, indent=indent, ensure_ascii=False)
    assert taken(text, size) == [(body, body) for body in bodies]


@pytest.mark.parametrize(
    "text", ['{"list":{},"total":0}', '{"list":[]}', '{ "total" : 0, "list" : [ ] }', '{"list":null}']
)
def test_an_empty_list_may_be_written_in_several_ways(text: str) -> None:
    assert taken(text) == []


def test_an_empty_array_that_somebody_put_in_the_place_of_an_object_is_passed_over() -> None:
    text = '{"list":[{"key":"/apisix/services/odd","value":[]},{"value":{"id":"a"}}],"total":2}'
    assert taken(text) == [({"id": "a"}, {"id": "a"})]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "[]",
        '{"list":[{"value":{}}',
        '{"list":{"a":1}}',
        '{"list":[{}]}',
        '{"list":[1]}',
        '{"a" 1}',
        '{"total":0}',
        '{"list":[{"value":{}}]',
        '{"list":[{"value":{"a":"\xff',
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_list_is_told(text: str, size: int) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        taken(text, size)


def test_a_body_is_a_mapping_like_any_other() -> None:
    ((_, body),) = asyncio.run(listed_in(b'{"list":[{"value":{"id":"a","labels":{"x":"\\ud800"}}}]}', 9))
    assert (body["id"], len(body), list(body)) == ("a", 2, ["id", "labels"])
    assert body.get("labels") == {"x": "\ud800"}
    assert "nothing" not in body
