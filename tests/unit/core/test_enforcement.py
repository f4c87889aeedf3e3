"""Where limits are held, and which ones are refused with a remedy."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.core.abilities import OURS
from controlplane.core.enforcement import Mechanism, place
from controlplane.core.placing import unenforceable
from controlplane.core.spec import QueueSpec
from controlplane.fallback.budgets.configuration import SCHEMA, configuration_problem
from controlplane.fallback.schema.validator import check
from tests.fixtures.specs import amounts, compiled, desired, document, headers, member, queue, windows

# Any: limits as users write them.


def placed(*limits: dict[str, Any], **parts: Any) -> list[Mechanism]:
    spec = QueueSpec.model_validate(queue(limits=list(limits), **parts))
    placements = place(spec)
    assert placements.problems == ()
    return [item.mechanism for item in placements.placed]


def refused(values: dict[str, Any]) -> dict[str, str]:
    return {
        problem.field: f"{problem.message}: {problem.remedy}" for problem in unenforceable(desired(values))
    }


@pytest.mark.parametrize(
    ("limit", "mechanism"),
    [
        ({"tokens": 5, "per": "1m"}, Mechanism.LEVEL),
        ({"prompt_tokens": 5, "per": "1m", "by": "key"}, Mechanism.LEVEL),
        ({"completion_tokens": 5, "per": "1m", "by": "header:x-team"}, Mechanism.LEVEL),
        ({"requests": 5, "per": "1s"}, Mechanism.COUNT),
        ({"requests": 5, "refill_per_s": 1.5}, Mechanism.BUCKET),
        ({"concurrency": 5}, Mechanism.CONCURRENCY),
        ({"concurrency": 5, "by": "key"}, Mechanism.CONCURRENCY),
    ],
)
def test_a_limit_of_a_queue_is_held_by(limit: dict[str, Any], mechanism: Mechanism) -> None:
    assert placed(limit) == [mechanism]


def test_a_member_s_limit_is_held_by_its_instance() -> None:
    assert placed(members=[member(limits=[{"tokens": 5, "per": "1m"}])]) == [Mechanism.MEMBER]


@pytest.mark.parametrize(
    ("limit", "field", "word"),
    [
        ({"usd": 5, "per": "1d"}, "usd", "later release"),
        ({"tokens": 5, "per": "month"}, "per", "fixed length"),
        ({"tokens": 5, "per": "1m", "mode": "sliding"}, "mode", "fixed"),
        ({"tokens": 5, "per": "1m", "strict": True}, "strict", "token-budget"),
        ({"tokens": 5, "refill_per_s": 1}, "refill_per_s", "token-budget"),
        ({"tokens": 5, "per": "1m", "by": "tenant"}, "by", "later release"),
        ({"tokens": 5, "per": "1m", "by": "model"}, "by", "later release"),
        ({"tokens": 5, "per": "1m", "then": "fallback"}, "then", "later release"),
    ],
)
def test_what_cannot_be_enforced_is_refused_with_its_field_and_a_remedy(
    limit: dict[str, Any], field: str, word: str
) -> None:
    found = refused(document(queues=[queue(limits=[limit])]))
    assert list(found) == [f"queues.support.limits[0].{field}"]
    assert word in found[f"queues.support.limits[0].{field}"]


def test_members_limits_and_the_queue_s_own_tokens_do_not_go_together_on_stock_plugins() -> None:
    limit = {"tokens": 5, "per": "1m"}
    found = refused(document(queues=[queue(limits=[limit], members=[member(limits=[limit])])]))
    assert "token-budget" in found["queues.support.members[0].limits[0].tokens"]


def test_two_kinds_of_tokens_on_one_queue_are_refused() -> None:
    limits = [{"tokens": 5, "per": "1m"}, {"prompt_tokens": 5, "per": "1h"}]
    found = refused(document(queues=[queue(limits=limits)]))
    assert "use tokens throughout" in found["queues.support.limits[1].prompt_tokens"]


def test_two_limits_that_would_share_a_counter_are_refused() -> None:
    limits = [{"tokens": 5, "per": "60s"}, {"tokens": 9, "per": "1m"}]
    found = refused(document(queues=[queue(limits=limits)]))
    assert "counts the same as limits[0]" in found["queues.support.limits[1].tokens"]


def test_more_windows_than_slots_are_refused() -> None:
    limits = [{"tokens": 5, "per": window} for window in ("1m", "1h", "2h", "1d")]
    found = refused(document(queues=[queue(limits=limits)]))
    assert "at most 3" in found["queues.support.limits[3].tokens"]


def test_a_bedrock_member_is_refused_because_no_address_speaks_its_protocol() -> None:
    account = {"name": "openai-main", "type": "bedrock", "region": "eu-west-1", "access_key_id": "A"}
    found = refused(document(providers=[account]))
    assert "Converse" in found["queues.support.members[0].provider"]


def test_the_report_says_for_each_limit_where_it_is_held_and_what_an_edit_costs() -> None:
    limits = [{"tokens": 5, "per": "1h"}, {"requests": 9, "per": "1m", "by": "key"}, {"concurrency": 2}]
    report = compiled(document(queues=[queue(limits=limits)])).report
    assert [(line.limit, line.mechanism, line.object) for line in report] == [
        ("5 tokens per 1h", "ai-rate-limiting rule", "services/sluice.tokens"),
        ("9 requests per 1m by key", "limit-count rule", "plugin_configs/q.support"),
        ("2 concurrency", "limit-conn rule", "plugin_configs/q.support"),
    ]
    assert all(line.exactness and line.worst_overshoot and line.edit for line in report)


@pytest.mark.parametrize(
    "limit",
    [
        {"tokens": 5, "per": "month"},
        {"tokens": 5, "per": "1m", "mode": "sliding"},
        {"tokens": 5, "per": "1m", "strict": True},
        {"tokens": 5, "refill_per_s": 1},
        {"requests": 5, "per": "day"},
    ],
)
def test_a_gateway_with_token_budget_holds_what_stock_plugins_cannot(limit: dict[str, Any]) -> None:
    spec = QueueSpec.model_validate(queue(limits=[limit]))
    placements = place(spec, OURS)
    assert placements.problems == ()
    assert [item.mechanism for item in placements.placed] == [Mechanism.BUDGET]


def test_what_stock_plugins_can_hold_stays_with_them_even_where_token_budget_is() -> None:
    spec = QueueSpec.model_validate(queue(limits=[{"tokens": 5, "per": "1m"}]))
    assert place(spec, OURS) == place(spec)


def test_the_tokens_of_one_queue_are_all_held_by_the_same_plugin() -> None:
    limits = [{"tokens": 5, "per": "1m"}, {"tokens": 9, "refill_per_s": 1}, {"requests": 5, "per": "1m"}]
    spec = QueueSpec.model_validate(
        queue(limits=limits, members=[member(limits=[{"prompt_tokens": 5, "per": "1m"}])])
    )
    found = [item.mechanism for item in place(spec, OURS).placed]
    assert found == [Mechanism.BUDGET, Mechanism.BUDGET, Mechanism.COUNT, Mechanism.BUDGET]


def test_slots_are_held_with_the_tokens_in_one_reservation() -> None:
    limits = [{"tokens": 9, "refill_per_s": 1}, {"concurrency": 2}, {"concurrency": 1, "by": "key"}]
    spec = QueueSpec.model_validate(queue(limits=limits))
    assert {item.mechanism for item in place(spec, OURS).placed} == {Mechanism.BUDGET}
    report = compiled(document(queues=[queue(limits=limits)]), abilities=OURS).report
    assert [line.exactness for line in report][1:] == 2 * ["exact, held to the end of a stream"]


def test_money_is_refused_by_every_gateway_for_now() -> None:
    spec = QueueSpec.model_validate(queue(limits=[{"usd": 5, "per": "1d"}]))
    assert [problem.field for problem in place(spec, OURS).problems] == ["limits[0].usd"]


@st.composite
def rich_limits(draw: st.DrawFn) -> dict[str, Any]:
    """A limit of any kind that token-budget holds."""
    by = draw(st.one_of(st.none(), st.just("key"), headers.map("header:{}".format)))
    whose = {"by": by} if by else {}
    meters = ["tokens", "prompt_tokens", "completion_tokens", "requests", "concurrency"]
    meter = draw(st.sampled_from(meters))
    if meter == "concurrency":
        return {meter: draw(amounts), **whose}
    pace = draw(
        st.one_of(
            st.fixed_dictionaries({"per": windows, "mode": st.sampled_from(["fixed", "sliding"])}),
            st.fixed_dictionaries({"refill_per_s": st.floats(0.001, 1e6)}),
            st.fixed_dictionaries(
                {"per": st.sampled_from(["day", "week", "month"]), "time_zone": st.just("Europe/Berlin")}
            ),
        )
    )
    return {meter: draw(amounts), **pace, "strict": draw(st.booleans()), **whose}


@given(limits=st.lists(rich_limits(), max_size=5), of_member=st.lists(rich_limits(), max_size=2))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_declared_limit_is_one_the_plugin_takes_under_a_name_of_its_own(
    limits: list[dict[str, Any]], of_member: list[dict[str, Any]]
) -> None:
    values = document(queues=[queue(limits=limits, members=[member(limits=of_member)])])
    result = compiled(values, abilities=OURS)
    if result.problems:
        assert all("counts the same" in problem.message for problem in result.problems)
        return
    policy = next(item for item in result.objects if item.key.id == "q.support")
    conf = policy.body["plugins"].get("token-budget")
    if conf is not None:
        filled = json.loads(json.dumps(conf))
        assert check(SCHEMA, filled) is None
        assert configuration_problem(filled) is None
    again = compiled(values, abilities=OURS)
    assert [item.hash for item in again.objects] == [item.hash for item in result.objects]
