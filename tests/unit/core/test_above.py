"""Limits that stand above queues: of tenants and their teams and users, of keys and of accounts."""

from typing import Any

import pytest

from controlplane.core.abilities import OURS, STOCK
from controlplane.core.compiled import Compiled
from controlplane.core.countable import platform_problems
from controlplane.core.gateways import GatewaySpec
from controlplane.core.objects import Kind, ObjectKey
from controlplane.core.placing import unenforceable
from controlplane.core.platform import Platform
from tests.fixtures.specs import compiled, desired, document, member, queue

# Any: declarations, and bodies of gateway objects.

HOUR = {"tokens": 100, "per": "1h"}


def tenanted(*limits: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A tenant with these limits, and a queue of it."""
    values = {"tenants": [{"name": "acme", "limits": list(limits)}], "queues": [queue(tenant="acme")]}
    return document(**values | parts)


def set_headers(result: Compiled, policy: str = "q.support") -> dict[str, str]:
    wanted = ObjectKey(Kind.PLUGIN_CONFIG, policy)
    (body,) = [item.body for item in result.objects if item.key == wanted]
    found: dict[str, str] = body["plugins"]["proxy-rewrite"]["headers"]["set"]
    return found


def key_function(result: Compiled, name: str = "web") -> dict[str, Any] | None:
    (body,) = [i.body for i in result.objects if i.key.kind is Kind.CONSUMER and i.body["desc"] == name]
    found: dict[str, Any] | None = body.get("plugins", {}).get("serverless-pre-function")
    return found


def refused(values: dict[str, Any]) -> dict[str, str]:
    return {item.field: f"{item.message}: {item.remedy}" for item in unenforceable(desired(values))}


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


def platform(**parts: Any) -> Platform:
    values = {"name": "edge", "admin_url": "http://127.0.0.1:9180", **parts}
    return GatewaySpec.model_validate(values).platform


def test_a_gateway_s_own_limit_stands_above_everything() -> None:
    keys = [{"name": "web", "providers": ["openai-main"]}]
    result = compiled(
        document(queues=[queue(), queue(name="other")], keys=keys), platform=platform(limits=[HOUR])
    )
    for policy in ("q.support", "q.other", "p.openai-main"):
        headers = set_headers(result, policy)
        assert (headers["X-Sluice-Scope-Global"], headers["X-Sluice-Limit-Global"]) == ("global.3600", "100")


def test_a_tier_s_limits_are_those_of_each_tenant_that_has_none_of_its_own() -> None:
    tenants: list[dict[str, Any]] = [
        {"name": "acme", "tier": "pro"},
        {"name": "own", "tier": "pro", "limits": [{"tokens": 7, "per": "1h"}]},
        {"name": "free", "tier": "free"},
    ]
    queues = [queue(name=f"of-{item['name']}", tenant=item["name"]) for item in tenants]
    tiers = {"pro": [HOUR, {**HOUR, "by": "user"}]}
    result = compiled(document(tenants=tenants, queues=queues), platform=platform(tiers=tiers))
    of_acme = set_headers(result, "q.of-acme")
    assert of_acme["X-Sluice-Limit-Tenant"] == "100"
    assert of_acme["X-Sluice-Scope-User"].endswith("$http_x_user_id")
    assert set_headers(result, "q.of-own")["X-Sluice-Limit-Tenant"] == "7"
    assert "X-Sluice-Scope-User" not in set_headers(result, "q.of-own")
    assert "X-Sluice-Limit-Tenant" not in set_headers(result, "q.of-free")


def test_declared_tiers_are_counted_where_the_gateway_has_none_of_its_own() -> None:
    tiers = [
        {"name": "everything", "limits": [{"tokens": 900, "per": "1h"}]},
        {"name": "pro", "limits": [HOUR]},
    ]
    values = document(
        tiers=tiers, tenants=[{"name": "acme", "tier": "pro"}], queues=[queue(tenant="acme"), queue(name="q")]
    )
    found = set_headers(compiled(values), "q.support")
    assert (found["X-Sluice-Limit-Global"], found["X-Sluice-Limit-Tenant"]) == ("900", "100")
    assert "X-Sluice-Limit-Tenant" not in set_headers(compiled(values), "q.q")
    assert [line.path for line in compiled(values).report if line.queue == "support"] == [
        "tiers.everything.limits[0]",
        "tiers.pro.limits[0]",
    ]
    own = platform(limits=[{"tokens": 5, "per": "1h"}], tiers={"pro": [{"tokens": 6, "per": "1h"}]})
    found = set_headers(compiled(values, platform=own), "q.support")
    assert (found["X-Sluice-Limit-Global"], found["X-Sluice-Limit-Tenant"]) == ("5", "6")


def test_a_tier_s_limits_that_no_gateway_could_count_are_problems() -> None:
    tiers = [
        {"name": "everything", "limits": [{**HOUR, "by": "key"}]},
        {"name": "pro", "limits": [{**HOUR, "by": "team"}, {"requests": 5, "per": "1h"}]},
    ]
    fields = [problem.field for problem in compiled(document(tiers=tiers)).problems]
    assert fields == ["tiers.everything.limits[0].by", "tiers.pro.limits[1].requests"]


def test_a_gateway_s_limits_that_it_could_not_count_are_refused() -> None:
    found = platform_problems(
        platform(limits=[{**HOUR, "by": "key"}], tiers={"pro": [{"usd": 1, "per": "1d"}]}), OURS
    )
    assert [problem.field for problem in found] == ["limits[0].by", "tiers.pro[0].usd"]


def test_the_report_tells_what_stands_above_a_queue() -> None:
    report = compiled(tenanted(HOUR, {**HOUR, "by": "team"}), platform=platform(limits=[HOUR])).report
    assert [(line.queue, line.path) for line in report] == [
        ("support", "gateway.limits[0]"),
        ("support", "tenants.acme.limits[0]"),
        ("support", "tenants.acme.limits[1]"),
    ]


GOLD = {**HOUR, "tokens": 900, "by": "team", "value": "gold"}


def choices_of(result: Compiled, policy: str = "q.support") -> list[dict[str, Any]]:
    wanted = ObjectKey(Kind.PLUGIN_CONFIG, policy)
    (body,) = [item.body for item in result.objects if item.key == wanted]
    found: list[dict[str, Any]] = body["plugins"].get("serverless-pre-function", {}).get("choices", [])
    return found


def test_one_team_may_have_another_limit_than_each_of_the_others() -> None:
    result = compiled(tenanted({**HOUR, "by": "team"}, GOLD))
    (choice,) = choices_of(result)
    assert choice["variable"] == "http_x_team_id"
    assert choice["others"]["X-Sluice-Limit-Team"] == "100"
    assert choice["values"]["gold"]["X-Sluice-Limit-Team"] == "900"
    assert choice["values"]["gold"]["X-Sluice-Scope-Team"] == f"{choice['others']['X-Sluice-Scope-Team']}gold"
    assert "X-Sluice-Limit-Team" not in set_headers(result), "or it would be set after the choice"


def test_a_team_s_counter_is_the_same_one_with_and_without_a_limit_of_its_own() -> None:
    plain = set_headers(compiled(tenanted({**HOUR, "by": "team"})))["X-Sluice-Scope-Team"]
    (choice,) = choices_of(compiled(tenanted({**HOUR, "by": "team"}, GOLD)))
    assert choice["values"]["gold"]["X-Sluice-Scope-Team"] == plain.replace("$http_x_team_id", "gold")


def test_a_pinned_team_has_its_own_limit_and_nothing_is_left_to_choose() -> None:
    for team, amount in (("gold", "900"), ("red", "100")):
        keys = [{"name": "web", "tenant": "acme", "queues": ["support"], "claims": {"team": team}}]
        function = key_function(compiled(tenanted({**HOUR, "by": "team"}, GOLD, keys=keys)))
        assert function is not None
        assert function["set_headers"]["X-Sluice-Limit-Team"] == amount
        assert function["set_headers"]["X-Sluice-Scope-Team"].endswith(f".3600.{team}")
        assert "choices" not in function


def test_a_key_that_is_counted_elsewhere_chooses_for_itself() -> None:
    keys = [{"name": "web", "tenant": "acme", "queues": ["support"]}]
    limits = ({**HOUR, "by": "team"}, GOLD)
    result = compiled(tenanted(*limits, queues=[queue()], keys=keys))
    function = key_function(result)
    assert function is not None
    assert [choice["variable"] for choice in function["choices"]] == ["http_x_team_id"]
    assert "X-Sluice-Scope-Team" in function["remove_headers"]
    assert choices_of(result) == [], "the queue is nobody's"


def everything(*limits: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "everything", "limits": list(limits)}]


def test_limits_over_everything_count_the_teams_of_each_tenant_apart_and_those_of_nobody() -> None:
    queues = [queue(tenant="acme"), queue(name="free")]
    values = tenanted(queues=queues, tiers=everything({**HOUR, "by": "team"}))
    result = compiled(values)
    tenant = desired(values).tenants["acme"].id.hex
    assert set_headers(result)["X-Sluice-Scope-Team"] == f"team.{tenant}.3600.$http_x_team_id"
    assert set_headers(result, "q.free")["X-Sluice-Scope-Team"] == "team.nobody.3600.$http_x_team_id"


def test_a_tenant_s_own_limit_by_team_goes_before_those_over_everything() -> None:
    own = tenanted({**HOUR, "tokens": 7, "by": "team"}, tiers=everything({**HOUR, "by": "team"}, GOLD))
    assert set_headers(compiled(own))["X-Sluice-Limit-Team"] == "7"
    assert choices_of(compiled(own)) == []
    one = tenanted({**GOLD, "tokens": 7}, tiers=everything({**HOUR, "by": "team"}, GOLD))
    (choice,) = choices_of(compiled(one))
    assert choice["values"]["gold"]["X-Sluice-Limit-Team"] == "7"
    assert choice["others"]["X-Sluice-Limit-Team"] == "100"


BUCKET = {"tokens": 5000, "refill_per_s": 25}


def test_a_bucket_above_queues_is_held_by_token_budget_alone() -> None:
    values = tenanted(BUCKET, {**BUCKET, "by": "team"}, HOUR)
    result = compiled(values, abilities=OURS)
    assert result.problems == ()
    found = set_headers(result)
    assert (found["X-Sluice-Capacity-Team"], found["X-Sluice-Refill-Team"]) == ("5000", "25.0")
    (service,) = [item.body for item in result.objects if item.key.kind is Kind.SERVICE]
    names = [limit["name"] for limit in service["plugins"]["token-budget"]["limits"]]
    assert {"above/tenant", "above/team"} <= set(names)
    assert [(line.path, line.mechanism) for line in result.report] == [
        ("tenants.acme.limits[0]", "token-budget limit"),
        ("tenants.acme.limits[2]", "ai-rate-limiting rule"),
        ("tenants.acme.limits[1]", "token-budget limit"),
    ]


def test_a_stock_gateway_is_closed_for_whom_a_bucket_would_count_and_says_the_remedy() -> None:
    values = tenanted({**BUCKET, "by": "team"}, queues=[queue(tenant="acme"), queue(name="free")])
    result = compiled(values, abilities=STOCK)
    (problem,) = result.problems
    assert problem.field == "tenants.acme.limits[0].refill_per_s"
    assert "per: 200s" in str(problem.remedy)
    policies = {item.key.id for item in result.objects if item.key.kind is Kind.PLUGIN_CONFIG}
    assert policies == {"q.free", "p.openai-main"}
    closed = compiled(document(tiers=everything(BUCKET)), abilities=STOCK)
    assert not [item for item in closed.objects if item.key.kind is Kind.PLUGIN_CONFIG]


def test_a_queue_that_needs_token_budget_itself_holds_the_buckets_above_it_too() -> None:
    queues = [queue(tenant="acme", limits=[BUCKET]), queue(name="plain", tenant="acme")]
    result = compiled(tenanted({**BUCKET, "by": "user"}, queues=queues), abilities=OURS)
    bodies = {item.key.id: item.body for item in result.objects if item.key.kind is Kind.PLUGIN_CONFIG}
    names = [limit["name"] for limit in bodies["q.support"]["plugins"]["token-budget"]["limits"]]
    assert "above/user" in names
    assert "token-budget" not in bodies["q.plain"]["plugins"], "its service has it"


def test_one_value_has_one_bucket_and_the_number_of_windows_of_its_level() -> None:
    assert refused(tenanted({**HOUR, "by": "team"}, GOLD, {**GOLD, "value": "red"})) == {}
    found = refused(tenanted(GOLD, {**GOLD, "per": "1d"}))
    assert "for team gold" in found["tenants.acme.limits[1].tokens"]
