"""The models of keys: where they are checked, and what cannot be."""

from typing import Any

from controlplane.core.objects import Kind
from controlplane.core.placing import unenforceable
from tests.fixtures.specs import compiled, desired, document, member, queue

# Any: JSON.


def values(*models: str | None, allowed: list[str]) -> dict[str, Any]:
    members = [member(name=f"m{number}", model=model) for number, model in enumerate(models)]
    keys = [{"name": "web", "queues": ["support"], "models": allowed}]
    return document(queues=[queue(members=members)], keys=keys)


def function(declared: dict[str, Any]) -> dict[str, Any]:
    consumers = [item for item in compiled(declared).objects if item.key.kind is Kind.CONSUMER]
    found: dict[str, Any] = consumers[0].body["plugins"]["serverless-pre-function"]
    return found


def test_a_queue_that_answers_with_another_model_is_refused_to_the_key() -> None:
    (problem,) = unenforceable(desired(values("small", "large", allowed=["small"])))
    assert problem.field == "keys.web.models"
    assert "queue support, member m1 answers with 'large'" in problem.message


def test_a_key_that_cannot_be_held_to_its_models_is_closed() -> None:
    made = compiled(values("large", allowed=["small"]))
    assert [item for item in made.objects if item.key.kind is Kind.CONSUMER] == []


def test_a_queue_is_checked_where_the_client_chooses_the_model_and_nowhere_else() -> None:
    assert function(values("small", None, allowed=["small"]))["fixed"] == {}
    fixed = function(values("small", allowed=["small"]))
    assert (len(fixed["fixed"]), fixed["models"]) == (1, {"small": True})


def test_a_key_without_models_brings_no_function_along() -> None:
    made = compiled(values("large", allowed=[]))
    consumers = [item for item in made.objects if item.key.kind is Kind.CONSUMER]
    assert "plugins" not in consumers[0].body


def test_limits_and_models_of_a_key_stand_side_by_side() -> None:
    declared = values("small", allowed=["small"])
    declared["keys"][0]["limits"] = [{"tokens": 5, "per": "1h"}]
    both = function(declared)
    assert len(both["functions"]) == 2
    assert {"models", "fixed", "set_headers", "variables", "remove_headers"} <= both.keys()
