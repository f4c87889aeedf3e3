"""Buckets above queues, which token-budget alone can hold."""

from controlplane.core.abilities import OURS, STOCK
from controlplane.core.objects import Kind
from tests.fixtures.specs import compiled, document, queue
from tests.unit.core.above import HOUR, everything, set_headers, tenanted

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
