"""Limits of accounts at providers, on gateways with token-budget: one counter whatever queue calls."""

import json
from typing import Any

import pytest

from controlplane.core.abilities import OURS
from controlplane.core.compiled import Compiled
from controlplane.core.declared import LIMITS_EACH
from controlplane.core.declaring import declare
from controlplane.core.desired import DesiredState
from controlplane.core.objects import Kind, ObjectKey
from controlplane.core.placing import unenforceable
from controlplane.core.report import owner_report
from controlplane.core.spec import MEMBERS_EACH, Document
from controlplane.fallback.budgets.configuration import SCHEMA, configuration_problem
from controlplane.fallback.schema.validator import check
from tests.fixtures.specs import compiled, desired, document, member, queue

# Any: declarations, and bodies of gateway objects.

MINUTE = {"tokens": 2_000_000, "per": "1m"}
SPARE = member(name="spare", provider="deep")
POLICIES = ("q.support", "q.other", "p.openai-main")


def accounts(*limits: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """An account with these limits; a queue that also calls another one, and a queue that does not."""
    providers = [
        {"name": "openai-main", "type": "openai", "limits": list(limits)},
        {"name": "deep", "type": "deepseek"},
    ]
    queues = [queue(members=[member(), SPARE], **parts), queue(name="other")]
    return document(providers=providers, queues=queues)


def budgets(result: Compiled, policy: str = "q.support") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _conf(result, policy)["limits"]
    return found


def _conf(result: Compiled, policy: str) -> dict[str, Any]:
    wanted = ObjectKey(Kind.PLUGIN_CONFIG, policy)
    (body,) = [item.body for item in result.objects if item.key == wanted]
    found: dict[str, Any] = json.loads(json.dumps(body["plugins"]["token-budget"]))
    return found


def test_queues_of_one_and_of_several_providers_count_in_one_counter() -> None:
    result = compiled(accounts(MINUTE), abilities=OURS)
    assert result.problems == ()
    found = {policy: budgets(result, policy) for policy in POLICIES}
    assert len({limit["name"] for limits in found.values() for limit in limits}) == 1
    assert [limits[0].get("member") for limits in found.values()] == [["main"], None, None]
    assert found["q.support"][0]["title"] == "provider openai-main: 2000000 tokens per 1m"


def test_an_account_that_is_used_up_sends_a_queue_on_only_if_it_falls_back() -> None:
    for fallback, then in ((["rate_limiting"], "fallback"), (["http_5xx"], None)):
        result = compiled(accounts(MINUTE, fallback=fallback), abilities=OURS)
        assert budgets(result)[0].get("then") == then
    alone = queue(members=[member(), member(name="second")], fallback=["rate_limiting"])
    result = compiled({**accounts(MINUTE), "queues": [alone]}, abilities=OURS)
    assert "then" not in budgets(result)[0], "no other member has an account of its own"


def test_all_members_of_an_account_are_counted_together() -> None:
    values = accounts(MINUTE)
    values["queues"] = [queue(members=[member(), SPARE, member(name="third")])]
    (limit,) = budgets(compiled(values, abilities=OURS))
    assert limit["member"] == ["main", "third"]


def test_the_counter_of_an_account_outlives_another_amount_and_no_other_window() -> None:
    names = [
        budgets(compiled(accounts(limit), abilities=OURS))[0]["name"]
        for limit in (MINUTE, {**MINUTE, "tokens": 5}, {**MINUTE, "per": "1h"})
    ]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    "limit",
    [
        MINUTE,
        {"prompt_tokens": 5, "per": "1m", "mode": "sliding"},
        {"completion_tokens": 5, "per": "month", "time_zone": "Europe/Berlin"},
        {"requests": 500, "per": "1m"},
        {"requests": 500, "refill_per_s": 8},
        {"concurrency": 8},
        {"tokens": 5000, "per": "1m", "strict": True},
    ],
)
def test_an_account_has_every_kind_of_limit_that_the_plugin_holds(limit: dict[str, Any]) -> None:
    result = compiled(accounts(limit), abilities=OURS)
    assert result.problems == ()
    for policy in POLICIES:
        conf = _conf(result, policy)
        assert check(SCHEMA, conf) is None
        assert configuration_problem(conf) is None
        assert ("output_cap" in conf) == ("strict" in limit)


def test_a_queue_of_the_most_members_may_have_the_most_limits_of_each() -> None:
    limits = [{"tokens": 5, "per": f"{minutes}m"} for minutes in range(1, LIMITS_EACH + 1)]
    names = [f"llm-{number}" for number in range(MEMBERS_EACH)]
    providers = [{"name": name, "type": "openai", "limits": limits} for name in names]
    members = [member(name=name, provider=name, limits=limits) for name in names]
    values = document(providers=providers, queues=[queue(members=members, limits=limits)])
    result = compiled(values, abilities=OURS)
    assert result.problems == ()
    assert len(budgets(result)) == LIMITS_EACH * (1 + 2 * MEMBERS_EACH)
    assert check(SCHEMA, _conf(result, "q.support")) is None


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ([{"usd": 5, "per": "month"}], "limits[0].usd"),
        ([{**MINUTE, "by": "key"}], "limits[0].by"),
        ([{**MINUTE, "then": "fallback"}], "limits[0].then"),
        ([MINUTE, {"tokens": 7, "per": "60s"}], "limits[1].tokens"),
    ],
)
def test_what_no_account_can_have_is_refused_with_a_remedy(limits: list[dict[str, Any]], field: str) -> None:
    (problem,) = unenforceable(desired(accounts(*limits)), abilities=OURS)
    assert problem.field == f"providers.openai-main.{field}"
    assert problem.remedy


def test_members_limits_and_buckets_above_are_held_beside_those_of_their_account() -> None:
    values = accounts(MINUTE, tenant="acme")
    values["tenants"] = [{"name": "acme", "limits": [{"tokens": 9, "refill_per_s": 1}]}]
    values["queues"][0]["members"][0] = member(limits=[{"tokens": 5, "per": "1m"}])
    result = compiled(values, abilities=OURS)
    titles = [limit["title"] for limit in budgets(result)]
    assert titles[:3] == [
        "queue support, member main: 5 tokens per 1m",
        "provider openai-main: 2000000 tokens per 1m",
        "global bucket",
    ]
    assert "tenant bucket" in [limit["title"] for limit in budgets(result, "p.openai-main")]


def test_the_report_says_who_shares_the_counter_of_an_account() -> None:
    report = compiled(accounts(MINUTE), abilities=OURS).report
    found = [(line.queue, line.path, line.mechanism, line.object) for line in report]
    path, mechanism = "providers.openai-main.limits[0]", "token-budget limit"
    assert found == [
        ("other", path, mechanism, "plugin_configs/q.other"),
        ("support", path, mechanism, "plugin_configs/q.support"),
    ]
    whom = "every queue with members of provider openai-main, and its own address"
    assert [line.shared_with for line in report] == [whom, f"{whom}; of this queue the calls to main"]
    assert report[0].exactness == "reserved before the call, settled after it"
    assert report[0].edit == "keeps what was used; another window starts a fresh counter"


def test_a_changed_account_is_reported_as_the_gateway_holds_it() -> None:
    changes = declare(Document.model_validate(accounts(MINUTE)), DesiredState(), str).changes
    (line,) = owner_report(changes, OURS)
    assert (line.mechanism, line.object) == ("token-budget limit", "plugin_configs/p.openai-main")
    (stock,) = owner_report(changes)
    assert "whose members are all of" in stock.shared_with
