"""What differs between two documents is told field by field, in the words of the grammar."""

import copy
from typing import Any

from hypothesis import given

from controlplane.core.comparing import document_differences, secret_differences
from tests.fixtures import specs

QUEUE: dict[str, Any] = {
    "name": "support",
    "members": [{"name": "main", "provider": "a", "weight": 80}, {"name": "spare", "provider": "b"}],
    "limits": [{"tokens": 500, "per": "1h"}],
}


def told(before: Any, after: Any) -> list[str]:
    return [str(change) for change in document_differences(before, after)]


def changed(**parts: Any) -> dict[str, Any]:
    return {**copy.deepcopy(QUEUE), **parts}


def test_a_member_is_called_by_its_name_wherever_it_stands() -> None:
    members = [{"name": "main", "provider": "a", "weight": 70}, {"name": "new", "provider": "c"}]
    assert told(QUEUE, changed(members=members)) == [
        "members.main.weight: 80 → 70",
        'members.spare: spare (provider: "b") → (absent)',
        'members.new: (absent) → new (provider: "c")',
    ]


def test_another_order_of_members_is_a_difference() -> None:
    assert told(QUEUE, changed(members=QUEUE["members"][::-1])) == [
        "members (order): main, spare → spare, main"
    ]


def test_a_limit_is_told_by_its_place() -> None:
    more = [{"tokens": 600, "per": "1h"}, {"concurrency": 3}]
    assert told(QUEUE, changed(limits=more)) == [
        "limits[0]: 500 tokens per 1h → 600 tokens per 1h",
        "limits[1]: (absent) → 3 concurrency",
    ]


def test_a_limit_of_an_earlier_grammar_is_told_as_it_is() -> None:
    old, new = [{"tokens": 500, "every": "1h"}], [{"tokens": 500, "per": "1h"}]
    assert told(changed(limits=old), changed(limits=new)) == [
        'limits[0]: {tokens: 500, every: "1h"} → 500 tokens per 1h'
    ]


def test_what_is_left_out_empty_or_null_is_the_same() -> None:
    assert told(QUEUE, changed(labels={}, tenant=None, fallback=[])) == []


def test_of_long_texts_the_part_is_told_in_which_they_differ() -> None:
    prompt = "Answer briefly. " * 40
    (change,) = told(
        {"guards": {"system_prompt": prompt}}, {"guards": {"system_prompt": f"{prompt}Never swear."}}
    )
    assert change.endswith('Answer briefly. Never swear."')
    assert len(change) < 450


def test_true_is_no_one() -> None:
    assert told({"protect": True}, {"protect": 1}) == ["protect: true → 1"]


def test_an_object_that_comes_or_goes_is_told_whole() -> None:
    assert len(told(None, QUEUE)) == len(told(QUEUE, None)) == 4


@given(specs.documents())
def test_nothing_differs_from_itself(document: dict[str, Any]) -> None:
    assert not document_differences(document, copy.deepcopy(document))


def test_another_secret_is_told_and_neither_is_shown() -> None:
    old = {"api_key": {"sealed": "sealed:1:canary", "fingerprint": "f1"}}
    new = {"api_key": {"sealed": "sealed:1:canary-2", "fingerprint": "f2"}}
    again = {"api_key": {"sealed": "sealed:1:canary-3", "fingerprint": "f1"}}
    assert [str(item) for item in secret_differences(old, new)] == ["api_key: *** → *** (another secret)"]
    assert not secret_differences(old, again)
    reference = {"api_key": {"reference": "$env://KEY"}}
    assert [str(item) for item in secret_differences(old, reference)] == ["api_key: *** → $env://KEY"]
    assert [str(item) for item in secret_differences(old, {})] == ["api_key: *** → (absent)"]
