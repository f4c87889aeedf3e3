"""What is no longer declared goes from the gateway, however often its removal fails first."""

from dataclasses import replace

import pytest

from controlplane.core.gateways import Drift
from controlplane.store.records import Kind
from tests.fixtures.specs import queue
from tests.fixtures.stores import AUTHOR
from tests.integration.reconciler.conftest import Passes

POLICY = "plugin_configs/q.support"


@pytest.mark.parametrize("drift", Drift)
@pytest.mark.parametrize("look", [True, False])
async def test_what_could_not_be_removed_stays_ours_to_remove(
    passes: Passes, drift: Drift, look: bool
) -> None:
    passes.work.record = replace(passes.work.record, drift=drift)
    await passes.declare(queues=[queue(access="open")])
    await passes(look=True)
    assert POLICY in await passes.world.objects()
    await passes.world.store.delete(Kind.QUEUE, "support", AUTHOR)
    passes.driver.keeps_everything = True
    for _ in range(3):
        asked = await passes(look=True)
        assert f"delete {POLICY}" in asked
        assert passes.states[-1] == "degraded"
    passes.driver.keeps_everything = False

    await passes(look=look)

    assert not [path for path in await passes.world.objects() if "q.support" in path]
    assert passes.states[-1] == "converged"
