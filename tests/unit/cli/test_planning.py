"""Plans that were kept, compared with what they would do now."""

import pytest

from cli.planning import Value, says_all_of
from tests.unit.cli.stand_in import plan, planned_on, step

CHANGE = {"kind": "queue", "name": "support", "action": "create", "fields": []}
SERVICE, ROUTE = step(object="services/sluice.levels"), step(object="routes/q.support")


def test_a_plan_says_all_of_itself() -> None:
    kept = plan(CHANGE, gateways=[planned_on(SERVICE, ROUTE)])
    assert says_all_of(kept, kept)


def test_what_was_still_on_its_way_needs_no_step_any_more() -> None:
    kept, now = (plan(CHANGE, gateways=[planned_on(*steps)]) for steps in ((SERVICE, ROUTE), (ROUTE,)))
    assert says_all_of(kept, now)


@pytest.mark.parametrize(
    "kept",
    [
        plan(CHANGE, gateways=[planned_on(SERVICE)]),
        plan(CHANGE, gateways=[planned_on(SERVICE, step(object="routes/q.support", hash="other"))]),
        plan(gateways=[planned_on(SERVICE, ROUTE)]),
        {**plan(CHANGE), "gateways": [{"name": "local", "steps": None}]},
    ],
    ids=["a step less", "another body", "a change less", "no steps"],
)
def test_a_plan_that_tells_of_less_than_it_would_do_is_told_apart(kept: Value) -> None:
    assert not says_all_of(kept, plan(CHANGE, gateways=[planned_on(SERVICE, ROUTE)]))
