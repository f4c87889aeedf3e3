"""A world for each test, `ctl` in it, and declarations to plan."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from controlplane.fallback.gateway import Gateway, GatewayConfig
from controlplane.settings import Settings
from controlplane.store.store import Store
from tests.fixtures.free_ports import free_ports
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World, addressed

PROVIDER_KEY = "sk-canary-provider-7710"
CLIENT_KEY = "sk-canary-client-8821"

# Any: declarations as users write them.


def declared(**parts: Any) -> dict[str, Any]:
    """A provider, a queue and a key of source `team`."""
    return {
        "source": "team",
        "providers": [{"name": "mock", "type": "openai", "api_key": PROVIDER_KEY}],
        "queues": [queue()],
        "keys": [{"name": "web", "key": CLIENT_KEY, "queues": ["support"]}],
        **parts,
    }


def queue(
    name: str = "support", *, tokens: int = 100, model: str = "m", provider: str = "mock", **parts: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "members": [{"name": "main", "provider": provider, "model": model}],
        "limits": [{"tokens": tokens, "per": "1m"}, {"requests": 5, "per": "1m"}],
        **parts,
    }


class File:
    """A declaration that is written anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, values: dict[str, Any]) -> tuple[str, ...]:
        """Write it; what `ctl` needs to read it."""
        self.path.write_text(yaml.safe_dump(values))
        return self.options

    @property
    def options(self) -> tuple[str, ...]:
        return ("-f", str(self.path), "--allow-literal-secrets")


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "queues.yaml")


@pytest.fixture
async def world(store: Store, service_settings: Settings, tmp_path: Path) -> AsyncIterator[World]:
    made = World(store, service_settings, tmp_path)
    await made.start_gateway()
    yield made
    await made.stop_gateway()


@pytest.fixture
async def america(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a second gateway's Admin API."""
    port, admin_port = free_ports(2)
    config = GatewayConfig(tmp_path / "us", ADMIN_KEY, port=port, admin_port=admin_port, drain_s=0.1)
    async with Gateway.start(config):
        yield f"http://127.0.0.1:{admin_port}"


@pytest.fixture
async def ctl(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Ctl]:
    """`ctl` beside the service, with a gateway that is looked at only when something is declared."""
    await world.declare_gateway()
    # The service shares this process, and stdout is what these tests look at.
    with capture_logs():
        async with world.served():
            addressed(world, monkeypatch)
            yield Ctl(world, capsys)
