"""Lists of a gateway are taken item by item, however they are written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.lists import listed

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


def taken(text: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(value, dict(body.items())) for value, body in listed(text.encode())]


@given(BODIES, st.sampled_from([None, 1]), st.booleans())
def test_every_item_is_what_the_whole_list_holds(
    bodies: list[dict[str, Any]], indent: int | None, total_first: bool
) -> None:
    items = [{"key": f"/apisix/{number}", "value": body} for number, body in enumerate(bodies)]
    parts = {"total": len(items), "list": items} if total_first else {"list": items, "total": len(items)}
    text = json.dumps(parts, indent=indent, ensure_ascii=False)
    assert taken(text) == [(body, body) for body in bodies]


@pytest.mark.parametrize(
    "text", ['{"list":{},"total":0}', '{"list":[]}', '{ "total" : 0, "list" : [ ] }', '{"list":null}']
)
def test_an_empty_list_may_be_written_in_several_ways(text: str) -> None:
    assert taken(text) == []


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
    ],
)
def test_what_is_no_list_is_told(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        taken(text)


def test_a_body_is_a_mapping_like_any_other() -> None:
    ((_, body),) = listed(b'{"list":[{"value":{"id":"a","labels":{"x":"\\ud800"}}}]}')
    assert (body["id"], len(body), list(body)) == ("a", 2, ["id", "labels"])
    assert body.get("labels") == {"x": "\ud800"}
    assert "nothing" not in body
