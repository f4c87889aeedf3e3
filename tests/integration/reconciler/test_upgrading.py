"""What an older release has left on a gateway is brought to what this one writes, and its leftovers go."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from controlplane.core.objects import HASH_LABEL, Kind, ObjectKey, body_hash
from controlplane.store.reconciling import ObjectResult, PassReport
from tests.fixtures.specs import member, queue
from tests.integration.reconciler.conftest import Passes

CAP = 64
POLICY, ROUTE, PREFIX = "plugin_configs/q.support", "routes/q.support", "routes/q.support."
FEW = ["post_arg.max_tokens", "<", CAP + 1]
FEW_TOO = ["post_arg.max_completion_tokens", "<", CAP + 1]
LESS: dict[str, tuple[str, list[Any]]] = {
    "a": ("/v1/messages", [FEW]),
    "c": (
        "/chat/completions",
        [
            ["OR", FEW, FEW_TOO],
            ["OR", ["post_arg.max_tokens", "==", None], FEW],
            ["OR", ["post_arg.max_completion_tokens", "==", None], FEW_TOO],
        ],
    ),
    "r": ("/v1/responses", [["post_arg.max_output_tokens", "<", CAP + 1]]),
}
"""By the ending of its id: which paths a route for less than the cap has, and what it asks of a body."""

EXTRA = {f"{PREFIX}{ending}" for ending in ("a", "c", "r", "m1c", "m2c", "modela", "modelc", "modelr")}
THEIRS = {"routes/q.support.r2": {"uri": "/theirs"}, "routes/theirs": {"uri": "/theirs/too"}}

# Any: bodies of gateway objects.

Objects = dict[str, Any]


def of_the_release_before(objects: Objects) -> Objects:
    """A capped queue as it was written then: the cap in each member, and routes without it beside them."""
    found = {path: deepcopy(body) for path, body in objects.items() if path.startswith((POLICY, ROUTE))}
    del found[POLICY]["plugins"]["serverless-pre-function"]
    for path, body in list(found.items()):
        if path == POLICY:
            continue
        for ending, (asked, conditions) in LESS.items():
            uris = [uri for uri in body["uris"] if asked in uri]
            if uris:
                less = {
                    "uris": uris,
                    "priority": body["priority"] + 1,
                    "vars": body.get("vars", []) + conditions,
                }
                extra = f"{path}{ending}" if path != ROUTE else f"{PREFIX}{ending}"
                found[extra] = deepcopy(body) | less | {"name": extra.removeprefix("routes/")}
        for instance in body["plugins"]["ai-proxy-multi"]["instances"]:
            instance["override"] = {"llm_options": {"max_tokens": CAP}}
    for body in found.values():
        for told_by_gateway in ("id", "create_time", "update_time"):
            body.pop(told_by_gateway, None)
        body["labels"][HASH_LABEL] = body_hash(body)
    return found


async def go_back_to_the_release_before(passes: Passes) -> None:
    """Leave on the gateway, and in the store, what that release did; and let this one begin anew."""
    before = of_the_release_before(await passes.world.objects())
    async with passes.world.admin() as admin:
        for path, body in (before | THEIRS).items():
            service = (
                {"upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:1": 1}}} if path in THEIRS else {}
            )
            (await admin.put(path, json=body | service)).raise_for_status()
    keys = {path: ObjectKey(Kind(path.partition("/")[0]), path.partition("/")[2]) for path in before}
    rows = [
        ObjectResult(keys[path], "queue support", body["labels"][HASH_LABEL], None)
        for path, body in before.items()
    ]
    work = passes.work
    await passes.store.record(PassReport(work.record.id, datetime.now(UTC), "before"), rows)
    await work.recall()


@pytest.mark.parametrize("look", [True, False])
async def test_extra_routes_of_a_capped_queue_go_last_and_nothing_else_is_touched(
    passes: Passes, look: bool
) -> None:
    members = [member(), member(name="spare", model="gpt-4o")]
    capped = queue(access="open", members=members, guards={"max_output_tokens": CAP})
    await passes.declare(queues=[capped])
    await passes(look=True)
    new = await passes.world.objects()
    await go_back_to_the_release_before(passes)
    planted = await passes.world.objects()
    assert planted.keys() == new.keys() | EXTRA | THEIRS.keys()

    asked = await passes(look=look)

    writes = [line.removeprefix("write ") for line in asked if line.startswith("write ")]
    deletes = [line.removeprefix("delete ") for line in asked if line.startswith("delete ")]
    assert asked[-len(deletes) :] == [f"delete {path}" for path in deletes], "nothing comes after a removal"
    assert set(deletes) == EXTRA
    assert set(writes) == {path for path in new if path.startswith((POLICY, ROUTE))}
    now = await passes.world.objects()
    assert now.keys() == new.keys() | THEIRS.keys()
    assert {path: now[path] for path in THEIRS} == {path: planted[path] for path in THEIRS}
    assert all(now[path]["plugins"] == new[path]["plugins"] for path in new)
    assert passes.states[-1] == "converged"
    recorded = await passes.store.applied(passes.work.record.id)
    assert {str(key) for key in recorded} == new.keys()
    assert [line for line in await passes(look=True) if line != "read"] == []
