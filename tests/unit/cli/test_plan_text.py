"""A plan as people read it."""

from cli.exit_codes import ExitCode
from cli.plan_text import plan_markdown, plan_text
from cli.planning import exit_code
from tests.unit.cli.stand_in import plan, planned_on, step

CHANGE = {"kind": "queue", "name": "support", "action": "update"}
FIELD = {"field": "limits[0]", "before": "1 tokens per 1m", "after": "2 tokens per 1m"}
COUNTED = {"create": 0, "update": 1, "delete": 0, "writes": 1, "drift": 0}


def test_the_worst_of_a_plan_is_its_exit_code() -> None:
    drift = {**COUNTED, "drift": 1}
    refusal = {"about": "", "message": "no", "remedy": "do"}
    assert exit_code(plan()) == ExitCode.OK
    assert exit_code(plan(CHANGE)) == ExitCode.CHANGES
    assert exit_code(plan(summary=COUNTED)) == ExitCode.CHANGES
    assert exit_code(plan(CHANGE, summary=drift)) == ExitCode.DRIFT
    assert exit_code(plan(CHANGE, summary=drift, refusals=[refusal])) == ExitCode.REFUSED


def test_text_has_a_line_for_every_change_and_every_field() -> None:
    told = {**CHANGE, "fields": [FIELD], "warnings": ["loosens the limit"]}
    text = plan_text(plan(told, summary=COUNTED, gateways=[planned_on(step("update"))]))
    assert "~ queue support\n" in text
    assert "limits[0]: 1 tokens per 1m → 2 tokens per 1m\n" in text
    assert "! loosens the limit" in text
    assert "~ routes/q.support  declared (queue support)" in text
    assert text.endswith("plan: 1 to update; 1 write on 1 gateway")


def test_a_plan_begins_with_its_first_line() -> None:
    assert plan_text(plan()) == "nothing to do"
    refusal = {"about": "", "message": "no", "remedy": "do"}
    assert plan_text(plan(refusals=[refusal])).startswith("refused: no (do)\n")


def test_colour_is_asked_for_and_never_in_the_text_itself() -> None:
    seen: list[str] = []

    def paint(text: str, colour: str) -> str:
        seen.append(colour)
        return text

    plan_text(plan(CHANGE, warnings=["careful"]), paint)
    assert seen == ["cyan", "yellow"]
    assert "\x1b" not in plan_text(plan({**CHANGE, "name": "a\x1b[31mb"}))


def test_nothing_in_a_plan_steers_the_markdown_around_it() -> None:
    evil = {**FIELD, "after": "```\n</details><script>"}
    text = plan_markdown(plan({**CHANGE, "fields": [evil]}, warnings=["<b>*x*</b>"], source="a`b"))
    assert "<b>" not in text
    assert "\\<b\\>\\*x\\*" in text
    fences = [line for line in text.splitlines() if line.startswith("````")]
    assert len(fences) == 2
    inside = text.partition(fences[0])[2].partition("\n````")[0]
    assert "</details><script>" in inside


def test_a_long_plan_is_counted_and_not_listed() -> None:
    text = plan_text(plan(*({**CHANGE, "name": f"q{number}"} for number in range(300))))
    assert text.count("~ queue q") == 200
    assert "… and 100 more; -o json has them all" in text


def test_what_somebody_should_know_is_listed_however_long_the_plan_is() -> None:
    known = [{**CHANGE, "name": f"q{number}"} for number in range(300)]
    told = {**CHANGE, "name": "last", "warnings": ["opens the queue"]}
    steps = [
        *(step() for _ in range(300)),
        step("update", object="routes/edited", drift=[FIELD], verdict="drift"),
    ]
    made = plan(*known, told, gateways=[planned_on(*steps)])
    for text in (plan_text(made), plan_markdown(made)):
        assert "queue last" in text
        assert "opens the queue" in text
        assert "routes/edited" in text
        assert "… and 101 more; -o json has them all" in text


def test_warnings_that_are_not_listed_are_counted() -> None:
    made = plan(*({**CHANGE, "name": f"q{number}", "warnings": ["opens"]} for number in range(300)))
    assert "… and 100 more, 100 of them with warnings; -o json has them all" in plan_text(made)
    assert "- … and 100 more warnings; `-o json` has them all" in plan_markdown(made)


def test_limits_that_are_not_listed_are_counted() -> None:
    limit = {
        "queue": "support",
        "rule": None,
        "path": "limits[0]",
        "limit": "1 tokens per 1m",
        "mechanism": "a rule",
        "object": "services/s",
        "shared_with": "all",
        "exactness": "exact",
        "worst_overshoot": "none",
    }
    made = plan(CHANGE, enforcement=[limit] * 250)
    assert "… and 50 more; -o json has them all" in plan_text(made)
