"""Limits that stand above every tenant: of gateways and of tiers."""

from typing import Any

from controlplane.core.abilities import OURS
from controlplane.core.countable import platform_problems
from tests.fixtures.specs import compiled, document, queue
from tests.unit.core.above import HOUR, platform, set_headers, tenanted

# Any: declarations.


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
