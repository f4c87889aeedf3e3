"""The gateway as a process of its own."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from controlplane.embedded.mock import MockProvider

KEY = "process-admin-key"


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def environment(home: Path, **changes: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")},
        "SLUICE_HOME": str(home),
        "SLUICE_GATEWAY_PORT": str(free_port()),
        "SLUICE_GATEWAY_ADMIN_PORT": str(free_port()),
        "SLUICE_FALLBACK_ADMIN_KEY": KEY,
        "PYTHONWARNINGS": "error",
        **changes,
    }


@asynccontextmanager
async def process(environ: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "controlplane.fallback",
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            started.kill()
        await started.communicate()


async def ready(started: asyncio.subprocess.Process) -> str:
    assert started.stdout is not None
    return (await asyncio.wait_for(started.stdout.readline(), 30)).decode()


def admin(environ: dict[str, str]) -> httpx.AsyncClient:
    url = f"http://127.0.0.1:{environ['SLUICE_GATEWAY_ADMIN_PORT']}/apisix/admin"
    return httpx.AsyncClient(base_url=url, headers={"X-API-KEY": KEY}, timeout=60)


async def test_it_says_where_it_listens_and_shows_no_key(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    async with process(environ) as started:
        line = await ready(started)
        assert environ["SLUICE_GATEWAY_PORT"] in line
        assert environ["SLUICE_GATEWAY_ADMIN_PORT"] in line
        assert KEY not in line


async def test_it_does_not_start_without_a_key_for_its_admin_api(tmp_path: Path) -> None:
    async with process(environment(tmp_path, SLUICE_FALLBACK_ADMIN_KEY="")) as started:
        _, errors = await asyncio.wait_for(started.communicate(), 30)
        assert started.returncode == 1
        assert b"SLUICE_FALLBACK_ADMIN_KEY" in errors


@pytest.mark.parametrize("name", ["SLUICE_GATEWAY_PORT", "SLUICE_GATEWAY_ADMIN_PORT"])
async def test_a_taken_port_is_an_error_that_names_the_port_and_the_setting(
    tmp_path: Path, name: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        async with process(environment(tmp_path, **{name: port})) as started:
            _, errors = await asyncio.wait_for(started.communicate(), 30)
        assert started.returncode == 1
        assert port.encode() in errors
        assert name.encode() in errors


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    async with process(environ) as first, admin(environ) as client:
        await ready(first)
        route = {"uri": "/a", "plugins": {"request-id": {}}}
        for number in range(20):
            assert (await client.put(f"/routes/r{number}", json=route)).status_code == 201
        assert (await client.delete("/routes/r3")).status_code == 200
        first.kill()
        await first.wait()
    async with process(environ) as second, admin(environ) as client:
        await ready(second)
        listed = (await client.get("/routes")).json()
        assert listed["total"] == 19
        assert "/apisix/routes/r3" not in {item["key"] for item in listed["list"]}


async def test_sigterm_lets_an_open_stream_finish(tmp_path: Path) -> None:
    environ = environment(tmp_path)
    async with MockProvider.start() as mock, process(environ) as started, admin(environ) as client:
        await ready(started)
        provider = {
            "provider": "openai",
            "auth": {},
            "override": {"endpoint": f"{mock.base_url}/v1/chat/completions"},
        }
        await client.put("/routes/r", json={"uri": "/chat", "plugins": {"ai-proxy": provider}})
        url = f"http://127.0.0.1:{environ['SLUICE_GATEWAY_PORT']}/chat"
        slow = {"X-Mock-Chunks": "20", "X-Mock-Chunk-Delay-Ms": "20"}
        body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
        received = b""
        async with (
            httpx.AsyncClient(timeout=60) as caller,
            caller.stream("POST", url, json=body, headers=slow) as reply,
        ):
            async for part in reply.aiter_raw():
                if not received:
                    started.send_signal(signal.SIGTERM)
                received += part
        assert received.endswith(b"data: [DONE]\n\n")
        assert await asyncio.wait_for(started.wait(), 60) == 0
