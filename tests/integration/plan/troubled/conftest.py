"""`ctl` with a gateway that is reached through something that can spoil requests and replies."""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.fixtures.troubled import TroubledAdmin, troubled
from tests.fixtures.worlds import Ctl, World, addressed


@pytest.fixture
async def admin(world: World) -> AsyncIterator[TroubledAdmin]:
    async with troubled(f"http://127.0.0.1:{world.ports[1]}") as made:
        yield made


@pytest.fixture
async def ctl(
    world: World, admin: TroubledAdmin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Ctl]:
    await world.declare_gateway(admin_url=admin.url)
    with capture_logs():
        async with world.served():
            addressed(world, monkeypatch)
            await world.in_state("converged")
            admin.writes.clear()
            yield Ctl(world, capsys)
