"""Limits that stand above queues: of tenants and their teams and users, of keys and of accounts."""

from typing import Any

import pytest

from controlplane.core.objects import Kind
from tests.fixtures.specs import compiled, desired, document, member, queue
from tests.unit.core.above import (
    HOUR,
    key_function,
    refused,
    set_headers,
    tenanted,
)

# Any: declarations, and bodies of gateway objects.


def test_a_tenant_s_limit_is_one_counter_over_all_its_queues() -> None:
    queues = [queue(tenant="acme"), queue(name="other", tenant="acme"), queue(name="foreign")]
    result = compiled(tenanted(HOUR, queues=queues))
    first, second = set_headers(result), set_headers(result, "q.other")
    assert first["X-Sluice-Scope-Tenant"] == second["X-Sluice-Scope-Tenant"]
    assert (first["X-Sluice-Limit-Tenant"], first["X-Sluice-Window-Tenant"]) == ("100", "3600")
    assert first["X-Sluice-Levels"] == "1"
    assert "X-Sluice-Scope-Tenant" not in set_headers(result, "q.foreign")


@pytest.mark.parametrize(
    ("level", "header"),
    [("team", "x_team_id"), ("rolegroup", "x_llm_rolegroup"), ("role", "x_role"), ("user", "x_user_id")],
)
def test_a_tenant_s_teams_and_users_are_counted_apart_and_within_the_tenant(level: str, header: str) -> None:
    result = compiled(tenanted({**HOUR, "by": level}))
    scope = set_headers(result)[f"X-Sluice-Scope-{level.title()}"]
    tenant = desired(tenanted()).tenants["acme"].id.hex
    assert scope == f"{level}.{tenant}.3600.$http_{header}"


def test_a_limit_above_keeps_its_counter_when_its_amount_changes() -> None:
    few, many = (set_headers(compiled(tenanted({**HOUR, "tokens": amount}))) for amount in (5, 500))
    assert few["X-Sluice-Scope-Tenant"] == many["X-Sluice-Scope-Tenant"]
    assert few["X-Sluice-Limit-Tenant"] != many["X-Sluice-Limit-Tenant"]


def test_a_key_of_the_queue_s_own_tenant_changes_nothing() -> None:
    keys = [{"name": "web", "tenant": "acme", "queues": ["support"]}]
    assert key_function(compiled(tenanted(HOUR, keys=keys))) is None


def test_a_key_s_limit_is_counted_over_everything_that_it_calls() -> None:
    keys = [{"name": "web", "queues": ["support"], "limits": [HOUR]}]
    result = compiled(document(keys=keys))
    function = key_function(result)
    assert function is not None
    assert function["phase"] == "access"
    assert function["set_headers"]["X-Sluice-Scope-Key"].startswith("key.")
    assert function["set_headers"]["X-Sluice-Levels"] == "1"
    assert function["remove_headers"] == []


def test_calls_with_a_tenant_s_key_count_for_that_tenant_whatever_queue_they_go_to() -> None:
    keys = [{"name": "web", "tenant": "acme", "queues": ["support"]}]
    limits = ({**HOUR, "by": "team"}, HOUR)
    function = key_function(compiled(tenanted(*limits, queues=[queue()], keys=keys)))
    assert function is not None
    assert function["set_headers"]["X-Sluice-Scope-Tenant"].startswith("tenant.")
    assert function["variables"] == {"X-Sluice-Scope-Team": "http_x_team_id"}
    assert "X-Sluice-Scope-User" in function["remove_headers"]


def test_a_pinned_claim_takes_the_place_of_the_client_s_header() -> None:
    keys = [{"name": "web", "tenant": "acme", "queues": ["support"], "claims": {"team": "red"}}]
    limits = ({**HOUR, "by": "team"}, {**HOUR, "by": "user"})
    function = key_function(compiled(tenanted(*limits, keys=keys)))
    assert function is not None
    assert function["set_headers"]["X-Sluice-Scope-Team"].endswith(".3600.red")
    assert function["variables"] == {"X-Sluice-Scope-User": "http_x_user_id"}


def test_a_key_without_a_tenant_pins_claims_in_the_tenant_of_its_queues() -> None:
    keys = [{"name": "web", "queues": ["support"], "claims": {"team": "red"}}]
    result = compiled(tenanted({**HOUR, "by": "team"}, keys=keys))
    function = key_function(result)
    assert function is not None
    route = set_headers(result)["X-Sluice-Scope-Team"].partition("$")[0]
    assert function["set_headers"]["X-Sluice-Scope-Team"] == f"{route}red"


def test_a_key_that_pins_claims_for_several_tenants_is_refused() -> None:
    queues = [queue(tenant="acme"), queue(name="other")]
    keys = [{"name": "web", "queues": ["support", "other"], "claims": {"team": "red"}}]
    assert "several tenants" in refused(tenanted(queues=queues, keys=keys))["keys.web.claims"]


def test_a_provider_s_limit_is_counted_over_all_queues_that_use_the_account() -> None:
    providers = [{"name": "openai-main", "type": "openai", "limits": [HOUR]}]
    keys = [{"name": "web", "providers": ["openai-main"]}]
    queues = [queue(), queue(name="other")]
    result = compiled(document(providers=providers, queues=queues, keys=keys))
    scopes = {
        set_headers(result, policy)["X-Sluice-Scope-Provider"]
        for policy in ("q.support", "q.other", "p.openai-main")
    }
    assert len(scopes) == 1


def test_a_stock_gateway_refuses_a_queue_that_mixes_a_limited_account_with_others() -> None:
    providers = [
        {"name": "openai-main", "type": "openai", "limits": [HOUR]},
        {"name": "deep", "type": "deepseek"},
    ]
    queues = [queue(members=[member(), member(name="spare", provider="deep")])]
    (field, reason), *rest = refused(document(providers=providers, queues=queues)).items()
    assert (field, rest) == ("queues.support.members[0].provider", [])
    assert "token-budget" in reason


@pytest.mark.parametrize("part", ["member", "kind"])
def test_a_queue_that_would_slip_past_the_limits_above_is_refused(part: str) -> None:
    limits = [{"prompt_tokens": 5, "per": "1m"}] if part == "kind" else []
    members = [member(limits=[HOUR] if part == "member" else [])]
    found = refused(tenanted(HOUR, queues=[queue(tenant="acme", limits=limits, members=members)]))
    (field,) = found
    assert field.startswith("queues.support.")


def test_a_queue_is_refused_too_when_it_is_a_key_that_brings_the_limits() -> None:
    keys = [{"name": "web", "queues": ["support"], "limits": [HOUR]}]
    values = document(queues=[queue(members=[member(limits=[HOUR])])], keys=keys)
    assert list(refused(values)) == ["queues.support.members[0].limits[0].tokens"]


@pytest.mark.parametrize(
    ("limit", "field"),
    [
        ({"requests": 5, "per": "1m"}, "requests"),
        ({"usd": 5, "per": "1d"}, "usd"),
        ({"tokens": 5, "per": "month"}, "per"),
        ({"tokens": 5, "per": "1m", "mode": "sliding"}, "mode"),
        ({"tokens": 5, "per": "1m", "strict": True}, "strict"),
        ({"tokens": 5, "refill_per_s": 1}, "refill_per_s"),
        ({"tokens": 5, "per": "1m", "by": "model"}, "by"),
        ({"tokens": 5, "per": "1m", "then": "fallback"}, "then"),
    ],
)
def test_what_cannot_be_counted_over_queues_is_refused_with_a_remedy(
    limit: dict[str, Any], field: str
) -> None:
    found = refused(tenanted(limit))
    assert list(found) == [f"tenants.acme.limits[0].{field}"]


def test_more_limits_than_the_gateway_counts_and_twins_are_refused() -> None:
    windows = [{"tokens": 5, "per": window} for window in ("1m", "1h", "1d")]
    assert "at most 2" in refused(tenanted(*windows))["tenants.acme.limits[2].tokens"]
    twins = refused(tenanted({"tokens": 5, "per": "60s"}, {"tokens": 9, "per": "1m"}))
    assert "counts the same as limits[0]" in twins["tenants.acme.limits[1].tokens"]


def test_what_stands_under_refused_limits_is_closed() -> None:
    keys = [{"name": "web", "limits": [{"usd": 1, "per": "1d"}]}]
    result = compiled(tenanted({"usd": 1, "per": "1d"}, keys=keys))
    assert {item.key.kind for item in result.objects if item.declared_by != "every queue"} <= {
        Kind.PLUGIN_CONFIG,
        Kind.ROUTE,
    }
    assert not [item for item in result.objects if item.declared_by == "queue support"]


def test_by_team_belongs_to_a_tenant() -> None:
    with pytest.raises(ValueError, match="belongs to a tenant"):
        desired(document(queues=[queue(limits=[{**HOUR, "by": "team"}])]))


def test_a_suspended_tenant_s_queues_are_closed_and_its_keys_open_nothing() -> None:
    keys = [
        {"name": "web", "tenant": "acme", "queues": ["support", "shared"], "providers": ["openai-main"]},
        {"name": "own", "queues": ["support", "shared"]},
    ]
    queues = [queue(tenant="acme"), queue(name="shared"), queue(name="door", tenant="acme", access="open")]
    tenants = [{"name": "acme", "suspended": True}]
    result = compiled(document(tenants=tenants, queues=queues, keys=keys))
    names = {i.body["desc"]: i.key.id for i in result.objects if i.key.kind is Kind.CONSUMER}
    allowed = {
        item.key.id: item.body["plugins"]["consumer-restriction"]["whitelist"]
        for item in result.objects
        if item.key.kind is Kind.PLUGIN_CONFIG
    }
    assert allowed == {
        "q.support": ["sluice-nobody"],
        "q.door": ["sluice-nobody"],
        "q.shared": [names["own"]],
        "p.openai-main": ["sluice-nobody"],
    }
