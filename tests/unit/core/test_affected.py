"""A part of the state compiles to the same objects as the whole."""

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from controlplane.core.affected import part_of
from controlplane.core.declaring import declare
from controlplane.core.desired import DesiredState
from controlplane.core.objects import GatewayObject, Kind, ObjectKey
from controlplane.core.spec import Document
from tests.fixtures.effort import examples
from tests.fixtures.specs import MOMENT, compiler, documents

# Any: documents as users write them.


def digest(text: str) -> str:
    return f"print-of-{text}"


@given(values=documents(), data=st.data())
@settings(
    max_examples=examples(10),
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_what_a_change_touches_is_found_in_its_part(values: dict[str, Any], data: st.DataObject) -> None:
    before = declare(Document.model_validate(values), DesiredState(), digest).state
    keys = [{**key, "queues": data.draw(st.sampled_from([key["queues"], []]))} for key in values["keys"]]
    queues = [
        {**queue, "timeout_s": data.draw(st.sampled_from([60, 7]))}
        for queue in values["queues"]
        if data.draw(st.booleans())
    ]
    left = {queue["name"] for queue in queues}
    keys = [{**key, "queues": [name for name in key["queues"] if name in left]} for key in keys]
    changed = {**values, "queues": queues, "keys": [key for key in keys if data.draw(st.booleans())]}
    wanted = declare(Document.model_validate(changed), before, digest, prune=True)
    part = part_of(before, wanted.state, wanted.changes)
    assert part is not None
    whole = differing(before, wanted.state)
    in_part = differing(part.before, part.after)
    told = {key: sides for key, sides in in_part.items() if part.tells_of(sides[2])}
    assert own(told) == own(whole)


def differing(before: DesiredState, after: DesiredState) -> dict[ObjectKey, tuple[str, str, str]]:
    """The objects that come, change or go: their hashes, and what they are for."""
    made = compiler()
    old, new = (objects(made.compile(state, MOMENT).objects) for state in (before, after))
    found = {}
    for key in old.keys() | new.keys():
        was, now = old.get(key), new.get(key)
        if (was and was.hash) != (now and now.hash):
            owner = (now or was or new[key]).declared_by
            found[key] = (was.hash if was else "", now.hash if now else "", owner)
    return found


def own(found: dict[ObjectKey, tuple[str, str, str]]) -> dict[ObjectKey, tuple[str, str, str]]:
    """Without the services, which everything shares: whether they go is for the whole to say."""
    return {key: sides for key, sides in found.items() if key.kind is not Kind.SERVICE}


def objects(items: tuple[GatewayObject, ...]) -> dict[ObjectKey, GatewayObject]:
    return {item.key: item for item in items}
