"""A plan for people: as text for a terminal, and as markdown for a pull request."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from cli.rendering import age, printable, table

Value = dict[str, Any]  # Any: a plan as the service shows it

SIGNS = {"create": "+", "update": "~", "delete": "-"}
MOST_SHOWN = 200
"""More objects are counted and not listed, except in JSON; those with warnings come before others."""

Paint = Callable[[str, str], str]


def plain(text: str, _: str) -> str:
    return text


def plan_text(plan: Value, paint: Paint = plain) -> str:
    """The whole plan."""
    return "\n".join(_lines(plan, paint)).removeprefix("\n")


def plan_markdown(plan: Value) -> str:
    """The whole plan as a comment of a pull request: the summary in sight, the rest to be unfolded."""
    return "\n".join(_markdown(plan))


def summary(plan: Value) -> str:
    """`2 to create, 1 to delete; 7 writes on 1 gateway`."""
    counts = plan["summary"]
    parts = [f"{counts[action]} to {action}" for action in SIGNS if counts[action]]
    text = ", ".join(parts) or "no change declared"
    busy = sum(bool(gateway["steps"]) for gateway in plan["gateways"])
    if counts["writes"]:
        text += f"; {_count(counts['writes'], 'write')} on {_count(busy, 'gateway')}"
    if counts["drift"]:
        text += f"; {_count(counts['drift'], 'object')} changed on a gateway by somebody else"
    return text


def nothing_to_do(plan: Value) -> bool:
    return not (plan["changes"] or plan["summary"]["writes"])


def _lines(plan: Value, paint: Paint) -> Iterator[str]:
    for change in _listed(plan["changes"]):
        yield _painted(change["action"], f"{change['kind']} {change['name']}", paint)
        yield from _details(change, "  ", paint)
    yield from _rest(plan["changes"])
    for gateway in plan["gateways"]:
        yield from _gateway_lines(gateway, paint)
    if plan["enforcement"]:
        yield ""
        yield "how the limits are enforced"
        yield from (f"  {line}" for line in _enforcement(plan).splitlines())
    notes = [paint(f"warning: {text}", "yellow") for text in plan["warnings"]]
    notes += [paint(f"refused: {text}", "red") for text in refusals(plan)]
    if notes:
        yield ""
        yield from map(printable_line, notes)
    yield ""
    yield "nothing to do" if nothing_to_do(plan) and not notes else f"plan: {summary(plan)}"


def printable_line(text: str) -> str:
    return text.replace("\n", " ")


def refusals(plan: Value) -> list[str]:
    """Why the plan is not carried out, each with its place in the file and what to do next."""
    return [
        "".join(f"{item[name]}: " for name in ("at", "about") if item.get(name))
        + f"{item['message']} ({item['remedy']})"
        for item in plan["refusals"]
    ]


def _gateway_lines(gateway: Value, paint: Paint) -> Iterator[str]:
    steps = gateway["steps"]
    if not steps and not gateway["trouble"]:
        return
    yield ""
    stands = f"{gateway['state']} at revision {gateway['revision']}{_looked(gateway)}"
    yield f"gateway {_safe(gateway['name'])} ({stands})"
    for step in _listed(steps):
        yield "  " + _painted(step["action"], f"{step['object']}  {_why(step)}", paint)
        yield from _details(step, "    ", paint)
    yield from (f"  {line}" for line in _rest(steps))


def _looked(gateway: Value) -> str:
    """How old the knowledge of drift is, outside of what was asked for just now."""
    if gateway["trouble"]:
        return ", planned from what is on record"
    if gateway["looked"] or not gateway["looked_at"]:
        return ""
    return f", read for drift {age(gateway['looked_at'], datetime.now(UTC))}"


def collisions_text(gateways: Sequence[Value]) -> str:
    """What of others is in the way, and what would become of it."""
    lines: list[str] = []
    for gateway in gateways:
        for item in gateway["collisions"]:
            lines.append(
                f"~ {_safe(item['object'])} on gateway {_safe(gateway['name'])} ({item['declared_by']})"
            )
            lines += [f"      {_field(change)}" for change in item["fields"]]
    return "\n".join(lines)


def _why(step: Value) -> str:
    verdict = "" if step["verdict"] == "you changed it" else f"{step['verdict']}: "
    return f"{verdict}{step['reason']} ({step['declared_by']})"


def _details(item: Value, indent: str, paint: Paint) -> Iterator[str]:
    # The way back from drift is what somebody did, read from the other side.
    for change in () if item.get("verdict") == "drift" and item["drift"] else item["fields"]:
        yield f"{indent}    {_field(change)}"
    for change in item.get("drift", ()):
        yield paint(f"{indent}    by hand: {_field(change)}", "magenta")
    for warning in item["warnings"]:
        yield paint(f"{indent}    ! {_safe(warning)}", "yellow")


def _field(change: Value) -> str:
    name = f"{change['field']}: " if change["field"] else ""
    if change["before"] == "(absent)":
        return _safe(f"{name}{change['after']}")
    return _safe(f"{name}{change['before']} → {change['after']}")


def _painted(action: str, text: str, paint: Paint) -> str:
    colour = {"create": "green", "update": "cyan", "delete": "red"}[action]
    return paint(f"{SIGNS[action]} {_safe(text)}", colour)


def _listed(items: Sequence[Value]) -> list[Value]:
    """As many as are listed, in their order: what somebody should know is not behind what is as expected."""
    told: list[int] = []
    known: list[int] = []
    for index, item in enumerate(items):
        (told if _tells(item) else known).append(index)
    return [items[index] for index in sorted([*told, *known][:MOST_SHOWN])]


def _tells(item: Value) -> bool:
    return bool(item.get("warnings") or item.get("drift"))


def _rest(items: Sequence[Value]) -> Iterator[str]:
    if len(items) > MOST_SHOWN:
        left = len(items) - MOST_SHOWN
        telling = max(0, sum(map(_tells, items)) - MOST_SHOWN)
        worse = f", {telling} of them with warnings" if telling else ""
        yield f"… and {left} more{worse}; -o json has them all"


def _enforcement(plan: Value) -> str:
    lines = plan["enforcement"]
    rows = [
        [
            " ".join(filter(None, (line["queue"], line["rule"] and f"rule {line['rule']}", line["path"]))),
            line["limit"],
            f"{line['mechanism']} on {line['object']}",
            line["shared_with"],
            line["exactness"],
            line["worst_overshoot"],
        ]
        for line in lines[:MOST_SHOWN]
    ]
    headings = ["DECLARED AT", "LIMIT", "ENFORCED BY", "SHARED WITH", "EXACTNESS", "WORST OVERSHOOT"]
    rest = _rest(lines)
    if plan.get("enforcement_goes_on"):  # of a plan that was carried out, which is told in brief
        rest = iter(["… and more; `ctl describe` has those of a queue"])
    return "\n".join([table(headings, rows), *rest])


def _markdown(plan: Value) -> Iterator[str]:
    of = f" for `{_code(plan['source'])}`" if plan["source"] else ""
    yield f"### Sluice plan{of}: {summary(plan)}"
    yield ""
    for text in refusals(plan):
        yield f"- :no_entry: **refused:** {_prose(text)}"
    notes = list(_notes(plan))
    yield from (f"- :warning: {note}" for note in notes[:MOST_SHOWN])
    if len(notes) > MOST_SHOWN:
        yield f"- … and {len(notes) - MOST_SHOWN} more warnings; `-o json` has them all"
    for title, lines in _blocks(plan):
        if lines:
            yield from _folded(title, lines)
    yield ""
    yield f"From revision {plan['revision']}, fingerprint `{plan['fingerprint'][:12]}`."


def _notes(plan: Value) -> Iterator[str]:
    """What somebody should know before this is applied: of the whole first, then of each object."""
    yield from map(_prose, plan["warnings"])
    for change in plan["changes"]:
        for warning in change["warnings"]:
            yield f"{change['kind']} `{_code(change['name'])}`: {_prose(warning)}"
    for gateway in plan["gateways"]:
        where = f"on gateway `{_code(gateway['name'])}`"
        for step in gateway["steps"]:
            if step["verdict"] != "you changed it":
                yield f"{step['verdict']}: `{_code(step['object'])}` {where}"
            for warning in step["warnings"]:
                yield f"{_prose(warning)} {where}"


def _blocks(plan: Value) -> Iterator[tuple[str, list[str]]]:
    declared: list[str] = []
    for change in _listed(plan["changes"]):
        declared.append(_painted(change["action"], f"{change['kind']} {change['name']}", plain))
        declared += [f"      {_field(item)}" for item in change["fields"]]
    yield "What is declared", [*declared, *_rest(plan["changes"])]
    for gateway in plan["gateways"]:
        lines = list(_gateway_lines(gateway, plain))[1:]
        yield f"Gateway {_prose(gateway['name'])}", lines
    if plan["enforcement"]:
        yield "How the limits are enforced", _enforcement(plan).splitlines()


def _folded(title: str, lines: Sequence[str]) -> Iterator[str]:
    longest = max((len(run) for line in lines for run in _runs_of_ticks(line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield ""
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield f"{fence}diff"
    # A diff colours what stands at the beginning of a line.
    yield from (line[2:] if line.startswith(("  + ", "  - ", "  ~ ")) else line for line in lines)
    yield fence
    yield ""
    yield "</details>"


def _runs_of_ticks(line: str) -> list[str]:
    return [run for run in "".join(char if char == "`" else " " for char in line).split() if run]


def _prose(text: str) -> str:
    """Text that means nothing to markdown."""
    escaped = "".join(f"\\{char}" if char in "\\`*_[]<>|#@!" else char for char in _safe(text))
    return escaped.replace("&", "&amp;")


def _code(text: str) -> str:
    return _safe(text).replace("`", "'")


def _safe(text: str) -> str:
    return printable(text).replace("\n", " ")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
