"""A pass that finds nothing changed does next to nothing, and one that finds something does all of it."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jinja2 import FileSystemLoader

from controlplane.clock import SystemClock
from controlplane.core.compile import Compiler, Target
from controlplane.core.diff import LiveObject
from controlplane.core.objects import Body, ObjectKey
from controlplane.core.render import Renderer
from controlplane.core.spec import Document
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from controlplane.reconciler.passes import GatewayPass
from controlplane.settings import Settings
from controlplane.store.reconciling import ReconcilingStore
from controlplane.store.store import Store
from tests.fixtures.specs import TEMPLATES, document, queue
from tests.fixtures.stores import AUTHOR
from tests.fixtures.worlds import ADMIN_KEY, World

# Any: documents as users write them.


class Watched(ApisixAdmin):
    """A driver that tells what was asked of it."""

    def __init__(self, url: str) -> None:
        super().__init__(AdminClient(url, ADMIN_KEY))
        self.asked: list[str] = []

    async def read(self) -> Mapping[ObjectKey, LiveObject]:
        self.asked.append("read")
        return await super().read()

    async def stamp(self) -> str | None:
        self.asked.append("stamp")
        return await super().stamp()

    async def find(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, LiveObject]:
        self.asked.append(f"find {len(keys)}")
        return await super().find(keys)

    async def write(self, key: ObjectKey, body: Body | bytes, secrets: Iterable[str] = ()) -> None:
        self.asked.append(f"write {key}")
        await super().write(key, body, secrets)


@dataclass
class Passes:
    """The passes over one gateway, one by one."""

    world: World
    store: ReconcilingStore
    driver: Watched
    work: GatewayPass
    states: list[str | None] = field(default_factory=list)

    async def __call__(self, *, look: bool) -> list[str]:
        """What one pass asked of the gateway."""
        self.driver.asked.clear()
        report = await self.work.run(await self.store.desired(), look=look)
        self.states.append(report.state)
        return list(self.driver.asked)

    async def declare(self, **parts: Any) -> None:
        await self.world.store.apply(Document.model_validate(document(**parts)), AUTHOR)


@pytest.fixture
async def passes(store: Store, store_settings: Settings, tmp_path: Path) -> AsyncIterator[Passes]:
    world = World(store, store_settings, tmp_path)
    await world.start_gateway()
    await world.declare_gateway()
    kept = ReconcilingStore(store.database, store.sealer)
    (record,) = await kept.gateways()
    driver = Watched(record.admin_url)
    work = GatewayPass(
        record=record,
        gateway=driver,
        compiler=Compiler(Renderer(FileSystemLoader(TEMPLATES)), Target("sluice")),
        store=kept,
        digest=store.sealer.fingerprint,
        owner="sluice",
        clock=SystemClock(),
        replica="here",
        may_write=lambda: True,
    )
    try:
        yield Passes(world, kept, driver, work)
    finally:
        await driver.close()
        await world.stop_gateway()


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
