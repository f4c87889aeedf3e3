"""The text of an audit row that its digest vouches for: one form, whatever wrote the row."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.audit import AuditRow, content

# Any: JSON.
LARGEST_EXACT = 2**53
EXACT = st.none() | st.booleans() | st.integers(1 - LARGEST_EXACT, LARGEST_EXACT - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    EXACT | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20
)


def row(after: dict[str, Any] | None) -> AuditRow:
    return AuditRow(
        id=0,
        at=datetime(2026, 11, 21, tzinfo=UTC),
        author="ops",
        address="10.0.0.1",
        request_id="r-1",
        action="update",
        kind="queue",
        object_id="0192",
        name="support",
        tenant_id=None,
        before=None,
        after=after,
        revision=7,
        previous="p",
        digest=None,
    )


@given(st.dictionaries(TEXTS, VALUES))
def test_the_text_is_json_with_sorted_names_and_nothing_escaped_that_need_not_be(
    after: dict[str, Any],
) -> None:
    values = [
        *(1, "p", "2026-11-21T00:00:00.000000+00:00", "ops", "10.0.0.1", "r-1", "update", "queue"),
        *("0192", "support", None, None, after, 7),
    ]
    expected = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert content(row(after)) == expected


@pytest.mark.parametrize(
    ("written", "read_back"), [(1e2, 100), (-0.0, 0), (1e22, 10**22), (0.5, 5e-1), (2.0**53, 2**53)]
)
def test_a_number_has_one_form_however_the_database_gives_it_back(written: Any, read_back: Any) -> None:
    assert content(row({"n": [written]})) == content(row({"n": [read_back]}))


def test_a_text_that_looks_like_a_number_stays_as_it_is() -> None:
    assert '"a":":1.50"' in content(row({"a": ":1.50"}))
