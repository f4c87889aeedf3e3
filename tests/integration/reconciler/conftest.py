"""The passes over one gateway, one by one, and what each asks of it."""

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
from controlplane.errors import GatewayRefused
from controlplane.gateway.apisix import ApisixAdmin
from controlplane.gateway.client import AdminClient
from controlplane.reconciler.passes import GatewayPass
from controlplane.settings import Settings
from controlplane.store.reconciling import ReconcilingStore
from controlplane.store.store import Store
from tests.fixtures.specs import TEMPLATES, document
from tests.fixtures.stores import AUTHOR
from tests.fixtures.worlds import ADMIN_KEY, World

# Any: documents as users write them.


class Watched(ApisixAdmin):
    """A driver that tells what was asked of it."""

    def __init__(self, url: str) -> None:
        super().__init__(AdminClient(url, ADMIN_KEY))
        self.asked: list[str] = []
        self.keeps_everything = False

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

    async def delete(self, key: ObjectKey) -> None:
        self.asked.append(f"delete {key}")
        if self.keeps_everything:
            raise GatewayRefused(f"{key} stays", status=400)
        await super().delete(key)


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
