"""What a change means for those who call."""

from typing import Any

import pytest

from controlplane.core.declaring import Wanted, declare
from controlplane.core.desired import DesiredState
from controlplane.core.diff import FieldChange
from controlplane.core.effects import warnings
from controlplane.core.fresh_counters import resets
from controlplane.core.redact import redacted, secrets_of
from controlplane.core.safety import prune_refusals
from controlplane.core.spec import Document
from tests.fixtures.specs import document, member, queue

# Any: documents as users write them.


def digest(text: str) -> str:
    return f"print-of-{text}"


def declared(values: dict[str, Any], before: DesiredState | None = None, *, prune: bool = False) -> Wanted:
    return declare(Document.model_validate(values), before or DesiredState(), digest, prune=prune)


def warned(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The warnings of a change from one document to another."""
    wanted = declared(after, declared(before).state, prune=True)
    return [text for change in wanted.changes for text in warnings(change)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            [{"tokens": 100, "per": "1m"}],
            [{"tokens": 200, "per": "1m"}],
            ["loosens the limit from 100 tokens per 1m to 200 tokens per 1m"],
        ),
        (
            [{"tokens": 200, "per": "1m"}],
            [{"tokens": 100, "per": "1m"}],
            ["tightens the limit from 200 tokens per 1m to 100 tokens per 1m"],
        ),
        (
            [{"tokens": 60, "per": "1m"}],
            [{"tokens": 60, "per": "1h"}],
            ["tightens the limit from 60 tokens per 1m to 60 tokens per 1h, which resets its window"],
        ),
        ([], [{"concurrency": 3}], ["tightens: adds the limit of 3 concurrency"]),
        ([{"concurrency": 3}], [], ["loosens: removes the limit of 3 concurrency"]),
        (
            [{"tokens": 1, "per": "1m"}, {"tokens": 9, "per": "1h"}],
            [{"tokens": 9, "per": "1h"}, {"tokens": 1, "per": "1m"}],
            [],
        ),
    ],
)
def test_a_limit_that_loosens_or_tightens_is_told_by_what_it_counts(
    before: list[Any], after: list[Any], expected: list[str]
) -> None:
    old, new = (document(queues=[queue(limits=limits)]) for limits in (before, after))
    assert warned(old, new) == expected


def test_members_that_go_are_told() -> None:
    both = document(queues=[queue(members=[member(), member(name="spare")])])
    one = document(queues=[queue(members=[member()])])
    other = document(queues=[queue(members=[member(name="new")])])
    assert warned(both, one) == ["leaves main as the last member: there is nothing to fall back to"]
    assert warned(one, other) == ["removes the last member that it had: main"]


def test_doors_that_open_and_keys_that_end_are_told() -> None:
    key = {"name": "web", "key": "sk-the-first-of-them", "queues": ["support"]}
    before = document(keys=[key])
    after = document(queues=[queue(access="open")], keys=[{**key, "key": "sk-the-second-of-them"}])
    assert warned(before, after) == [
        "opens the queue to anybody who reaches the gateway",
        "the key's text changes: whoever sends the old one is answered 401",
    ]
    assert warned(before, document()) == ["calls with this key are answered 401 from then on"]


def test_counters_that_a_gateway_starts_anew_are_told() -> None:
    rules = FieldChange("plugins.limit-count.rules[0].time_window", "60", "3600")
    assert resets("queue support", [rules]) == ("resets the windows of requests of queue support",)
    assert resets("queue support", [FieldChange("plugins.proxy-rewrite.headers.set.X", "1", "2")]) == ()


def test_a_document_laid_over_itself_changes_nothing() -> None:
    values = document(
        providers=[{"name": "openai-main", "type": "openai", "api_key": "sk-some-provider-key"}],
        keys=[{"name": "web", "key": "sk-some-client-key-1", "queues": ["support"]}],
    )
    first = declared(values)
    assert len(first.changes) == 3
    again = declared(values, first.state, prune=True)
    assert again.changes == ()
    assert again.state.queues is first.state.queues
    masked = {**values, "providers": [{"name": "openai-main", "type": "openai", "api_key": "***"}]}
    assert declared(masked, first.state).changes == ()


def test_a_mass_delete_is_at_least_ten_objects_and_over_a_third() -> None:
    def refused(count: int, owned: int, *, declared: int = 1) -> bool:
        deletes = [f"queue q{number}" for number in range(count)]
        found = prune_refusals(
            "team", declared=declared, owned=owned, deletes=deletes, allow_mass_delete=False
        )
        return bool(found)

    assert not refused(9, 9)
    assert refused(10, 10)
    assert not refused(10, 34)
    assert refused(11, 36)
    assert refused(0, 0, declared=0)


def test_a_known_secret_is_masked_wherever_it_stands() -> None:
    values = document(providers=[{"name": "openai-main", "type": "openai", "api_key": "sk-secret"}])
    secrets = set(secrets_of(Document.model_validate(values)))
    found = redacted({"a": ["x sk-secret y", {"sk-secret": 1}], "b": 2}, secrets)
    assert found == {"a": ["x *** y", {"***": 1}], "b": 2}
