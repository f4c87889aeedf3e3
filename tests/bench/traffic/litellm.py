"""LiteLLM's proxy as a peer, from PyPI, in an environment of its own.

It is governed as far as it can be without a database: its master key, and the router's limits of tokens and
requests, counted in the same Valkey.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil

from tests.bench.traffic.rig import KEY, READY_S, Counters, Proxy, started
from tests.fixtures.free_ports import free_ports

NAME = "LiteLLM"
PACKAGE = "litellm[proxy]==1.106.2"
FOLDER = Path(__file__).parents[3] / ".bench" / "litellm"
_PLENTY = 10**9


@asynccontextmanager
async def litellm(folder: Path, provider_port: int, counters: Counters) -> AsyncIterator[Proxy | None]:
    """The running proxy; None where it cannot be installed."""
    program = await asyncio.to_thread(_installed)
    if program is None:
        print(f"{PACKAGE} cannot be installed here, so there is no {NAME} in this run")
        yield None
        return
    (port,) = free_ports(1)
    configuration = folder / "litellm.json"
    configuration.write_text(json.dumps(_configuration(provider_port, counters)))
    arguments = [str(program), "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with (folder / "litellm.log").open("wb") as log:
        async with started([*arguments, "--num_workers", "1"], environ, log) as process:
            await _ready(f"http://127.0.0.1:{port}/health/liveliness")
            headers = {"Authorization": f"Bearer {KEY}"}
            yield Proxy(NAME, psutil.Process(process.pid), port, "/v1/chat/completions", headers)


def _installed() -> Path | None:
    """Its command, installed if it is not; None if that fails."""
    program = FOLDER / "bin" / "litellm"
    if program.exists():
        return program
    print(f"installing {PACKAGE} into {FOLDER.parent.name}/{FOLDER.name}, this once", flush=True)
    commands = (
        [sys.executable, "-m", "venv", str(FOLDER)],
        [str(FOLDER / "bin" / "pip"), "install", "--quiet", PACKAGE],
    )
    for command in commands:
        if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
            return None
    return program


def _configuration(provider_port: int, counters: Counters) -> dict[str, object]:
    called = {
        "model": "openai/gpt-4o-mini",
        "api_base": f"http://127.0.0.1:{provider_port}/v1",
        "api_key": f"sk-{secrets.token_hex(4)}",
        "rpm": _PLENTY,
        "tpm": _PLENTY,
    }
    return {
        "model_list": [{"model_name": "gpt-4o-mini", "litellm_params": called}],
        "router_settings": {
            "routing_strategy": "usage-based-routing-v2",
            "redis_host": "127.0.0.1",
            "redis_port": counters.port,
            "redis_password": counters.password,
        },
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }


async def _ready(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(4 * READY_S):
        while True:
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)
