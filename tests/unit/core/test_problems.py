"""What is said of a declaration that cannot be accepted."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from controlplane.core.gateways import GatewaySpec
from controlplane.core.guards import Cors, Guards
from controlplane.core.limits import Limit
from controlplane.core.problems import problems_of
from controlplane.core.rules import HeaderChanges, RuleSpec
from controlplane.core.spec import Document, KeySpec, ProviderSpec, QueueSpec, TenantSpec
from controlplane.errors import Problem

MEMBER = {"name": "main", "provider": "openai"}


def problems(model: type[BaseModel], data: Any) -> dict[str, Problem]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return {problem.field: problem for problem in problems_of(caught.value, model, data)}


def test_an_unknown_field_is_answered_with_the_nearest_known_one() -> None:
    found = problems(QueueSpec, {"name": "a", "members": [MEMBER | {"wieght": 1}], "limts": []})
    assert found["limts"].remedy == "did you mean limits?"
    assert found["members[0].wieght"].remedy == "did you mean weight?"


def test_an_unknown_field_like_no_other_is_answered_with_all_known_ones() -> None:
    found = problems(Document, {"zzz": 1})
    assert (
        found["zzz"].remedy
        == "remove it; known are gateways, keys, providers, queues, rules, source, tenants, tiers, version"
    )


def test_a_word_that_is_none_of_the_known_ones_is_answered_with_the_nearest() -> None:
    queue = {
        "name": "a",
        "members": [MEMBER],
        "balancer": "RoundRobbin",
        "fallback": ["http_5x"],
        "access": "zzz",
    }
    found = problems(QueueSpec, queue)
    assert found["balancer"].remedy == "did you mean roundrobin?"
    assert found["fallback[0]"].remedy == "did you mean http_5xx?"
    assert found["access"].remedy == "write one of those"


def test_a_list_is_not_called_too_short_because_its_entries_are_wrong() -> None:
    found = problems(QueueSpec, {"name": "a", "members": [MEMBER | {"weight": -1}]})
    assert set(found) == {"members[0].weight"}
    assert set(problems(QueueSpec, {"name": "a", "members": []})) == {"members"}


def test_objects_of_a_document_are_called_by_their_names() -> None:
    limit = {"tokens": 0, "per": "1m"}
    queue = {"name": "support", "members": [MEMBER | {"limits": [limit]}], "limits": [limit]}
    found = problems(Document, {"queues": [queue, {"name": "no name!"}]})
    assert {"queues.support.limits[0].tokens", "queues.support.members[0].limits[0].tokens"} <= set(found)
    assert "queues[1].name" in found


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        Document, {"queues": [{"name": "a"}], "keys": [{"name": ""}], "version": 7, "soruce": "x"}
    )
    assert set(found) == {"queues.a.members", "keys[0].name", "version", "soruce"}


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (ProviderSpec, {"name": "a", "type": "openai", "api_key": ["canary-5e1f"]}),
        (ProviderSpec, {"name": "a", "type": "openai", "api_key": "canary-5e1f\x00"}),
        (ProviderSpec, {"name": "a", "type": "canary-5e1f"}),
        (ProviderSpec, {"name": "a", "type": "openai", "endpoint": "canary-5e1f"}),
        (KeySpec, {"name": "a", "key": "canary-5e1f"}),
        (KeySpec, {"name": "a", "key": "canary-5e1f canary-5e1f"}),
        (KeySpec, {"name": "a", "expires_at": "canary-5e1f"}),
    ],
)
def test_a_value_is_never_repeated_for_it_may_be_a_secret(model: type[BaseModel], data: Any) -> None:
    found = problems(model, data)
    assert found
    assert "canary" not in str(found)


def test_every_problem_comes_with_a_remedy() -> None:
    queue = {
        "name": "a",
        "members": {},
        "limits": [{"tokens": 1}],
        "timeout_s": "x",
        "access": 3,
        "labels": [],
    }
    found = problems(Document, {"queues": [queue, 5], "keys": None, "source": 4})
    assert all(problem.remedy for problem in found.values())


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), 10**400, "\ud800", {"\ud800": 1}, [], None, True]
)
def test_odd_values_are_problems_and_nothing_worse(value: Any) -> None:
    found = problems(Document, {"queues": [{"name": value, "members": value, "\ud800": value, "id": value}]})
    assert found
    assert all(str(problem).encode() for problem in found.values())


@pytest.mark.parametrize(
    ("model", "data", "field"),
    [
        (GatewaySpec, {"name": "a", "kind": "apisix-yaml"}, "file"),
        (GatewaySpec, {"name": "a"}, "admin_url"),
        (ProviderSpec, {"name": "a", "type": "azure-openai"}, "endpoint"),
        (ProviderSpec, {"name": "a", "type": "bedrock", "region": "eu"}, "access_key_id"),
        (TenantSpec, {"name": "a", "tier": "everything"}, "tier"),
        (QueueSpec, {"name": "a", "members": [MEMBER, MEMBER]}, "members[1]"),
        (QueueSpec, {"name": "a", "members": [MEMBER | {"weight": 0}]}, "members"),
        (KeySpec, {"name": "a", "queues": ["b", "b"]}, "queues[1]"),
        (RuleSpec, {"name": "a", "path": "/a", "target": "https://a.example", "access": "tenant"}, "tenant"),
        (Limit, {"tokens": 5, "per": "1m", "value": "gold"}, "value"),
        (Limit, {"tokens": 5}, "per"),
        (Limit, {"tokens": 5, "requests": 5, "per": "1m"}, "requests"),
        (Guards, {"allow_ips": ["10.0.0.1"], "deny_ips": ["10.0.0.2"]}, "deny_ips"),
        (Cors, {"origins": ["*", "https://a.example"]}, "origins"),
        (HeaderChanges, {"set": {"x-a": "1"}, "remove": ["x-b", "x-a"]}, "remove[1]"),
        (Document, {"keys": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, "keys[2]"),
    ],
)
def test_fields_that_do_not_go_together_name_the_one_to_change(
    model: type[BaseModel], data: Any, field: str
) -> None:
    assert list(problems(model, data)) == [field]


def test_a_mistake_hides_none_that_can_be_judged_without_it() -> None:
    """Entries of lists keep their places, and an object whose fields clash still counts for what it is in."""
    clashing = {"tokens": 5, "by": "key"}
    queue = {
        "name": "a",
        "access": "open",
        "members": [5, MEMBER | {"weight": "heavy"}, MEMBER],
        "limits": [{"tokens": 0, "per": "1m"}, clashing],
        "hash_on": "x-user",
        "balancer": "chas",
    }
    assert set(problems(Document, {"queues": [queue, queue], "version": 2})) == {
        "version",
        "queues[1]",
        "queues.a.members[0]",
        "queues.a.members[1].weight",
        "queues.a.members[2]",
        "queues.a.limits[0].tokens",
        "queues.a.limits[1].per",
        "queues.a.limits[1].by",
        "queues.a.balancer",
    }


def test_thousands_of_mistakes_are_told_as_quickly_as_a_few() -> None:
    """Each for itself, and in a time that grows with their number alone."""
    queues = [{"name": f"q{n}", "members": [MEMBER], "hash_on": "x-a", "limts": []} for n in range(5000)]
    assert len(problems(Document, {"queues": queues})) == 10_000
