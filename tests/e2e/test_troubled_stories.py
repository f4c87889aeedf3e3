"""The stories of an apply on a gateway in trouble: it ends 5 and says why, and the next one completes it."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cli.exit_codes import ExitCode
from controlplane.fallback.gateway import Gateway, GatewayConfig
from tests.fixtures.background import Background
from tests.fixtures.free_ports import free_ports
from tests.fixtures.teams import Team
from tests.fixtures.troubled import SILENCE, Trouble, TroubledAdmin, no_trouble, troubled
from tests.fixtures.whole_stack import WholeStack, whole_stack

KEY = "admin-key-of-the-edge"
QUEUES = tuple(f"q{number}" for number in range(10))


@dataclass(frozen=True)
class TroubledStack(WholeStack):
    """A stack whose gateway is reached through something that refuses, fails or keeps silent on demand."""

    edge: TroubledAdmin

    def admin(self) -> httpx.Client:
        """Somebody with the Admin API's key, whom no trouble befalls."""
        return httpx.Client(
            base_url=f"{self.edge.target}/apisix/admin/", headers={"X-API-KEY": KEY}, timeout=20
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledStack]:
    folder = tmp_path_factory.mktemp("troubled")
    background, parts = Background(), AsyncExitStack()
    try:
        edge = background.run(_edge(parts, folder))
        settings = {"SLUICE_GATEWAY_ADMIN_URL": edge.url, "SLUICE_GATEWAY_ADMIN_KEY": KEY}
        with whole_stack(folder / "home", **settings) as made:
            yield TroubledStack(made.stack, edge)
    finally:
        background.run(parts.aclose())
        background.end()


async def _edge(parts: AsyncExitStack, folder: Path) -> TroubledAdmin:
    port, admin_port = free_ports(2)
    config = GatewayConfig(folder / "edge", KEY, port=port, admin_port=admin_port, drain_s=0.1)
    await parts.enter_async_context(Gateway.start(config))
    return await parts.enter_async_context(troubled(f"http://127.0.0.1:{admin_port}"))


def one_object(method: str, path: str) -> int | None:
    return 400 if method == "PUT" and path.startswith("plugin_configs/q.one-q3") else None


def half(method: str, path: str) -> int | None:
    return 400 if method == "PUT" and path.endswith(("0", "2", "4", "6", "8")) else None


def every_write(status: int) -> Trouble:
    return lambda method, _: status if method != "GET" else None


def everything(_: str, __: str) -> int | None:
    return 503


REFUSED = "400 there is trouble"
AWAY = "goes on trying"
TROUBLES = {
    "one": (one_object, "30", REFUSED),
    "half": (half, "30", REFUSED),
    "failing": (every_write(500), "3", AWAY),
    "silent": (every_write(SILENCE), "3", AWAY),
    "gone": (everything, "3", AWAY),
}
"""What is wrong, how long the apply waits, and what it says."""


@pytest.mark.parametrize("name", TROUBLES)
def test_an_apply_amid_trouble_ends_5_and_the_next_one_completes_it(
    world: TroubledStack, tmp_path: Path, name: str
) -> None:
    trouble, patience_s, why = TROUBLES[name]
    team = Team(world, name, tmp_path).declares(*QUEUES)
    world.edge.trouble = trouble
    try:
        done = team.ctl("apply", "--yes", "--timeout", patience_s, ends=ExitCode.PARTLY_APPLIED)
    finally:
        world.edge.trouble = no_trouble
    assert why in done.stderr
    team.ctl("apply", "--yes", "--timeout", "50", ends=ExitCode.OK)
    team.plan("--refresh", ends=ExitCode.OK)
    assert {f"routes/q.{name}-{queue}" for queue in QUEUES} <= team.objects()


def test_a_removal_amid_trouble_is_made_good_by_the_next_prune(world: TroubledStack, tmp_path: Path) -> None:
    team = Team(world, "removal", tmp_path).declares("a", "b")
    team.ctl("apply", "--yes", "--timeout", "50", ends=ExitCode.OK)
    world.edge.trouble = lambda method, _: 500 if method == "DELETE" else None
    try:
        team.declares("a", tokens=50)
        team.ctl("apply", "--prune", "--yes", "--timeout", "3", ends=ExitCode.PARTLY_APPLIED)
    finally:
        world.edge.trouble = no_trouble
    team.ctl("apply", "--prune", "--yes", "--timeout", "50", ends=ExitCode.OK)
    assert {path for path in team.objects() if path.startswith("routes/q.")} == {
        "routes/q.removal-a",
        "routes/q.removal-a.model",
    }
