"""Plans: what is written, what is left alone, in which order, and that no secret shows."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.core.compiled import Compiled
from controlplane.core.diff import LiveObject
from controlplane.core.objects import GatewayObject, Kind, ObjectKey, resolve
from controlplane.core.plan import Action, Plan, Reason, plan_against_applied, plan_against_live
from tests.fixtures.effort import examples
from tests.fixtures.specs import compiled, document, documents, queue

CANARY = "sk-canary-0d41"
Live = dict[ObjectKey, LiveObject]

# Any: bodies of gateway objects.


def digest(text: str) -> str:
    return text.removeprefix("text of ").join(("print-of-", ""))


class _Texts(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"text of {name}"


def as_live(item: GatewayObject) -> LiveObject:
    """The object as a gateway gives it back."""
    body = resolve(item.body, _Texts()) | {"create_time": 1, "update_time": 2}
    return LiveObject(item.key, body)


def live_of(result: Compiled) -> Live:
    return {item.key: as_live(item) for item in result.objects}


def plan(result: Compiled, live: Live) -> Plan:
    applied = {item.key: item.hash for item in result.objects}
    return plan_against_live(result.objects, live, applied, owner="sluice", digest=digest)


def edited(live: Live, key: ObjectKey, change: Any) -> Live:
    body: dict[str, Any] = copy.deepcopy(dict(live[key].body))
    change(body)
    return {**live, key: LiveObject(key, body)}


ROUTE = ObjectKey(Kind.ROUTE, "q.support")


@given(values=documents())
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_gateway_that_holds_everything_needs_nothing(values: dict[str, Any]) -> None:
    result = compiled(values)
    assert plan(result, live_of(result)).steps == ()


@given(values=documents(), data=st.data())
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_carrying_out_a_plan_leaves_nothing_to_do(values: dict[str, Any], data: st.DataObject) -> None:
    result = compiled(values)
    whole = live_of(result)
    live = {key: found for key, found in whole.items() if data.draw(st.booleans())}
    for step in plan(result, live).steps:
        if step.wanted is None:
            del live[step.key]
        else:
            live[step.key] = as_live(step.wanted)
    assert plan(result, live).steps == ()


def test_a_field_edited_by_hand_is_named_and_healed() -> None:
    result = compiled(document())
    live = edited(live_of(result), ROUTE, lambda body: body.update(priority=7))
    (step,) = plan(result, live).steps
    assert (step.action, step.reason) == (Action.UPDATE, Reason.DRIFTED)
    assert [str(change) for change in step.changes] == ["priority: 7 → 100"]


def test_a_field_that_somebody_added_is_named_without_its_value() -> None:
    result = compiled(document())
    live = edited(live_of(result), ROUTE, lambda body: body["plugins"].update(secret={"key": CANARY}))
    (step,) = plan(result, live).steps
    assert [str(change) for change in step.changes] == ["plugins.secret: *** → (absent)"]


@pytest.mark.parametrize("prefix", ["Bearer ", ""])
def test_another_secret_is_seen_and_not_shown(prefix: str) -> None:
    result = compiled(document())

    def forge(body: dict[str, Any]) -> None:
        header = body["plugins"]["ai-proxy-multi"]["instances"][0]["auth"]["header"]
        header["Authorization"] = prefix + CANARY

    (step,) = plan(result, edited(live_of(result), ROUTE, forge)).steps
    assert step.changes[0].path == "plugins.ai-proxy-multi.instances[0].auth.header.Authorization"
    assert CANARY not in repr(step)


def test_a_list_of_another_length_shows_no_secret_either() -> None:
    result = compiled(document())

    def forge(body: dict[str, Any]) -> None:
        body["plugins"]["ai-proxy-multi"]["instances"].append({"auth": {"header": {"x": CANARY}}})

    (step,) = plan(result, edited(live_of(result), ROUTE, forge)).steps
    assert CANARY not in repr(step)


def test_of_long_values_the_part_is_shown_in_which_they_differ() -> None:
    result = compiled(document())

    def shorten(body: dict[str, Any]) -> None:
        body["uris"] = [uri for uri in body["uris"] if uri != "/queues/support/v1/embeddings"]

    (step,) = plan(result, edited(live_of(result), ROUTE, shorten)).steps
    (change,) = step.changes
    assert change.path == "uris"
    assert '"/queues/support/v1/embeddings"' in change.after
    assert '"/queues/support/v1/embeddings"' not in change.before
    assert max(len(change.before), len(change.after)) <= 200


def test_what_is_not_ours_is_neither_changed_nor_deleted() -> None:
    result = compiled(document())
    stranger = ObjectKey(Kind.ROUTE, "somebody-else")
    live = {**live_of(result), stranger: LiveObject(stranger, {"uri": "/x"})}
    assert plan(result, live).steps == ()


def test_another_installation_s_objects_are_not_ours() -> None:
    result = compiled(document())
    other = ObjectKey(Kind.ROUTE, "q.theirs")
    live = {**live_of(result), other: LiveObject(other, {"labels": {"sluice-owner": "other-sluice"}})}
    assert plan(result, live).steps == ()


def test_an_id_that_somebody_else_has_is_told_and_left_alone() -> None:
    result = compiled(document())
    live = edited(live_of(result), ROUTE, lambda body: body.pop("labels"))
    found = plan(result, live)
    assert found.steps == ()
    assert [item.key for item in found.foreign] == [ROUTE]
    assert "queue support needs that id" in str(found.foreign[0])


def test_parents_come_first_and_deletes_last_in_reverse() -> None:
    result = compiled(document(keys=[{"name": "web", "queues": ["support"]}]))
    old = compiled(document(queues=[queue(name="old")], keys=[{"name": "gone"}]))
    live = {key: found for key, found in live_of(old).items() if "old" in key.id or "key-" in key.id}
    steps = plan(result, live).steps
    writes = [step.key.kind.rank for step in steps if step.action is not Action.DELETE]
    deletes = [step.key.kind.rank for step in steps if step.action is Action.DELETE]
    assert writes == sorted(writes)
    assert deletes == sorted(deletes, reverse=True)
    assert [step.action is Action.DELETE for step in steps] == sorted(
        step.action is Action.DELETE for step in steps
    )


def test_without_looking_only_what_changed_since_the_last_write_is_sent() -> None:
    before = compiled(document(queues=[queue(), queue(name="old")]))
    after = compiled(document(queues=[queue(limits=[{"tokens": 5, "per": "1m"}])]))
    applied = {item.key: item.hash for item in before.objects}
    found = plan_against_applied(after.objects, applied)
    assert {(step.action, step.key.id) for step in found.steps if step.action is not Action.DELETE} == {
        (Action.UPDATE, "q.support")
    }
    assert {step.key.id for step in found.steps if step.action is Action.DELETE} == {"q.old", "q.old.model"}
