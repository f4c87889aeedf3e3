"""The published JSON Schema says what the grammar takes."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from cli.main import main
from controlplane.core.grammar import grammar, grammar_text
from controlplane.core.spec import Document
from tests.fixtures.documents import documents
from tests.fixtures.effort import examples

ROOT = Path(__file__).parents[3]
SCHEMA = jsonschema_rs.validator_for(grammar())


def queue(**parts: Any) -> dict[str, Any]:
    return {"queues": [{"name": "support", "members": [{"name": "main", "provider": "mock"}], **parts}]}


def taken(document: dict[str, Any]) -> bool:
    try:
        Document.model_validate(document)
    except ValidationError:
        return False
    return True


def test_the_published_file_is_what_ctl_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == grammar_text()
    assert (ROOT / "docs" / "queues.schema.json").read_text() == grammar_text()


@settings(max_examples=examples(50), deadline=None)
@given(documents())
def test_every_valid_document_is_valid_by_the_schema(document: dict[str, Any]) -> None:
    assert taken(document)
    SCHEMA.validate(document)


@pytest.mark.parametrize(
    "limit",
    [
        {"tokens": 5},
        {"tokens": 5, "requests": 4, "per": "1m"},
        {"per": "1m"},
        {"concurrency": 4, "per": "1m"},
        {"tokens": 5, "per": "1m", "refill_per_s": 3},
        {"tokens": 5, "per": "1x"},
        {"tokens": 5, "per": "1m", "by": "colour"},
        {"tokens": True, "per": "1m"},
        {"tokens": "5", "per": "1m"},
        {"usd": "5", "per": "month"},
        {"tokens": 5, "per": "1m", "strict": 0},
        {"tokns": 5, "per": "1m"},
    ],
)
def test_a_limit_that_is_refused_is_refused_by_the_schema_too(limit: dict[str, Any]) -> None:
    assert not taken(queue(limits=[limit]))
    assert not SCHEMA.is_valid(queue(limits=[limit]))


@pytest.mark.parametrize(
    "document",
    [
        queue(protect=0),
        queue(protect="yes"),
        queue(timeout_s="60"),
        queue(timeout_s=True),
        queue(hash_on="a header"),
        queue(members=[]),
        {"keys": [{"name": "web", "enabled": 0}]},
        {"keys": [{"name": "web", "enabled": "false"}]},
        {"version": "1"},
        {"providers": [{"name": "p", "type": "openai", "models": [{"name": "m", "accuracy": "1"}]}]},
        {"providers": [{"name": "p", "type": "openai", "endpoint": "ftp://x"}]},
        {"queus": []},
    ],
)
def test_only_true_and_false_are_yes_and_no_and_only_numbers_are_numbers(document: dict[str, Any]) -> None:
    assert not taken(document)
    assert not SCHEMA.is_valid(document)


def test_a_reference_may_stand_for_any_text() -> None:
    document = queue(balancer="${env:BALANCER}", limits=[{"tokens": 5, "per": "${env:WINDOW:-1m}"}])
    SCHEMA.validate(document | {"source": "${file:source.txt}", "keys": None})
