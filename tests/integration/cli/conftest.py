"""The real service for `ctl` to talk to, on a database of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cli.main import main
from controlplane.settings import Settings
from controlplane.store.store import Store
from tests.fixtures.services import TOKEN, app_of, serving

Ctl = Callable[..., Awaitable[int]]


@pytest.fixture
async def ctl(
    store: Store, service_settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Ctl]:
    """Run one command beside the service; its exit code."""

    async def run(*arguments: str) -> int:
        return await asyncio.to_thread(main, arguments)

    # The service shares this process, and stdout is what these tests look at.
    with capture_logs():
        async with serving(app_of(service_settings, store)) as url:
            monkeypatch.setenv("SLUICE_URL", url)
            monkeypatch.setenv("SLUICE_TOKEN", TOKEN)
            monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
            yield run
