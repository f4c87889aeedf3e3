"""The admin service as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from controlplane.settings import Settings
from tests.fixtures.free_ports import free_ports
from tests.fixtures.services import TOKEN, client, until

CANARY = "sk-canary-4b1f"


@dataclass(frozen=True)
class Service:
    """The process, its address, and the file that its stderr goes to."""

    process: asyncio.subprocess.Process
    url: str
    log: Path

    def lines(self) -> list[dict[str, object]]:
        """What it logged so far; every line is JSON."""
        whole, _, _ = self.log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]


@asynccontextmanager
async def service(settings: Settings, folder: Path) -> AsyncIterator[Service]:
    (port,) = free_ports(1)
    assert settings.database_url is not None
    assert settings.master_key is not None
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")},
        "SLUICE_DATABASE_URL": settings.database_url,
        "SLUICE_MASTER_KEY": settings.master_key.get_secret_value(),
        "SLUICE_ADMIN_TOKEN": TOKEN,
        "SLUICE_SERVICE_PORT": str(port),
    }
    log = folder / "service.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "controlplane.app"),
            cwd=Path(__file__).parents[3],
            env=environ,
            stderr=stderr,
        )
    try:
        yield Service(process, f"http://127.0.0.1:{port}", log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answers(opened: httpx.AsyncClient, status: int = 200) -> bool:
    try:
        return (await opened.get("/health/ready")).status_code == status
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_the_service_ends_cleanly_when_it_is_asked_to(
    store_settings: Settings, tmp_path: Path, how: signal.Signals
) -> None:
    async with service(store_settings, tmp_path) as running, client(running.url) as opened:
        await until(lambda: answers(opened), "the service")
        running.process.send_signal(how)
        assert await asyncio.wait_for(running.process.wait(), 60) == 0
        assert "Traceback" not in running.log.read_text()


async def test_the_log_has_a_line_for_every_request_and_nothing_that_was_sent(
    store_settings: Settings, tmp_path: Path
) -> None:
    async with service(store_settings, tmp_path) as running, client(running.url) as opened:
        await until(lambda: answers(opened), "the service")
        opened.headers["X-Request-Id"] = "from-the-client"
        await opened.post("/api/v1/providers", json={"name": "a", "type": "openai", "api_key": CANARY})
        await opened.get(f"/api/v1/providers/a?{CANARY}=1", headers={"X-Canary": CANARY})
        await opened.get(f"/no/such/path/{CANARY}")
        await opened.request("PUT", f"/api/v1/queues?key={CANARY}")
        await opened.post("/api/v1/providers", content=f'{{"name": "{CANARY}')

        async def told() -> bool:  # a line is written after its answer
            return sum(line.get("request_id") == "from-the-client" for line in running.lines()) == 5

        await until(told, "a line for each of the five requests")
        logged = running.lines()
    assert CANARY not in json.dumps(logged)
    requests = [line for line in logged if line.get("request_id") == "from-the-client"]
    assert [(line["method"], line["path"], line["status"]) for line in requests] == [
        ("POST", "/api/v1/providers", 201),
        ("GET", "/api/v1/providers/{ref}", 400),
        ("GET", "(no such path)", 404),
        ("PUT", "(no such path)", 405),
        ("POST", "/api/v1/providers", 400),
    ]
    assert TOKEN not in json.dumps(logged)


async def test_a_setting_that_is_missing_is_one_clear_line(store_settings: Settings, tmp_path: Path) -> None:
    broken = store_settings.model_copy(update={"database_url": ""})
    async with service(broken, tmp_path) as running:
        assert await asyncio.wait_for(running.process.wait(), 60) == 1
        text = running.log.read_text()
    assert "SLUICE_DATABASE_URL is not set" in text
    assert "Traceback" not in text
