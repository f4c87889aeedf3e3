"""A pass that finds nothing changed does next to nothing, and one that finds something does all of it."""

from tests.fixtures.specs import queue
from tests.integration.reconciler.conftest import Passes


async def test_without_news_and_without_a_look_nothing_is_asked(passes: Passes) -> None:
    await passes.declare(queues=[queue(access="open")])
    assert "write plugin_configs/q.support" in await passes(look=True)
    assert await passes(look=False) == []
    assert passes.states == ["converged"] * 2


async def test_a_look_reads_everything_once_and_then_compares_a_stamp(passes: Passes) -> None:
    await passes.declare(queues=[queue(access="open")])
    await passes(look=True)
    assert await passes(look=True) == ["read"]
    assert await passes(look=True) == ["stamp"]
    assert await passes(look=True) == ["stamp"]
    looked = (await passes.world.status()).looked_at
    assert await passes(look=True) == ["stamp"]
    again = (await passes.world.status()).looked_at
    assert looked is not None
    assert again is not None
    assert again > looked


async def test_an_edit_by_hand_is_found_by_its_stamp_and_healed(passes: Passes) -> None:
    await passes.declare(queues=[queue(access="open")])
    for _ in range(3):
        await passes(look=True)
    async with passes.world.admin() as admin:
        edit = {"plugins": {"proxy-rewrite": {"headers": {"set": {"X-Mine": "1"}}}}}
        (await admin.patch("plugin_configs/q.support", json=edit)).raise_for_status()
    assert await passes(look=True) == ["stamp", "read", "write plugin_configs/q.support"]
    assert await passes(look=True) == ["read"]
    assert await passes(look=True) == ["stamp"]


async def test_news_ask_only_for_what_they_change(passes: Passes) -> None:
    queues = [queue(access="open"), queue(name="sales", access="open")]
    await passes.declare(queues=queues)
    await passes(look=True)
    limited = queue(name="sales", access="open", limits=[{"tokens": 9, "per": "1m"}])
    await passes.declare(queues=[queues[0], limited])
    assert await passes(look=False) == ["find 1", "write plugin_configs/q.sales"]


async def test_news_that_withdraw_something_delete_it(passes: Passes) -> None:
    await passes.declare(queues=[queue(access="open")])
    await passes(look=True)
    await passes.declare(queues=[queue(access="open", members=[{"name": "one", "provider": "openai-main"}])])
    await passes(look=False)
    assert await passes(look=True) == ["read"]
    assert set(passes.states) == {"converged"}


async def test_somebody_else_s_object_is_no_reason_to_read_it_all_again(passes: Passes) -> None:
    await passes.declare(queues=[queue(access="open")])
    await passes(look=True)
    async with passes.world.admin() as admin:
        theirs = {"uri": "/theirs", "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:9": 1}}}
        (await admin.put("routes/theirs", json=theirs)).raise_for_status()
    assert await passes(look=True) == ["read"]
    assert await passes(look=True) == ["stamp"]
