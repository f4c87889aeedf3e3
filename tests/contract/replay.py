"""Replays a recorded story step by step, with today's addresses in place of the recorded ones."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.contract.targets import Target

FOLDER = Path(__file__).parent / "transcripts"
RECORDED_MOCK = "127.0.0.1:9500"
RECORDED_TRAFFIC = "127.0.0.1:9080"
RECORDED_LOGGER = "127.0.0.1:9777"


@dataclass(frozen=True)
class Reply:
    """What a step came to: the answer, and what the provider saw meanwhile."""

    status: int
    headers: dict[str, str]
    text: str
    upstream_saw: list[dict[str, Any]]


def stories() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def port_of(address: str) -> str:
    return address.rpartition(":")[2]


def load(story: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{story}.json").read_text())
    return document


class Player:
    """Sends the steps of a story."""

    def __init__(self, target: Target, client: httpx.AsyncClient) -> None:
        self._target = target
        self._client = client

    def rewrite(self, value: Any) -> Any:
        """A recorded value with today's addresses."""
        if isinstance(value, dict):
            changed = {self.rewrite(name): self.rewrite(item) for name, item in value.items()}
            if "redis_port" in changed:
                changed.update(self._target.redis_options)
            return changed
        if isinstance(value, list):
            return [self.rewrite(item) for item in value]
        if value == port_of(RECORDED_TRAFFIC):
            return port_of(self._target.traffic_address)
        if isinstance(value, str):
            value = value.replace(RECORDED_MOCK, self._target.mock_address)
            return value.replace(RECORDED_TRAFFIC, self._target.traffic_address)
        return value

    async def play(self, step: dict[str, Any]) -> Reply:
        """One step, by the way that it names."""
        request = step["request"]
        body = request["body"]
        content = None if body is None else body if isinstance(body, str) else json.dumps(self.rewrite(body))
        headers = dict(request["headers"])
        if step["to"] == "admin":
            base = self._target.admin_url
            keys = {"admin": self._target.admin_key, "wrong": "a-wrong-key"}
            if request["key"] in keys:
                headers["X-API-KEY"] = keys[request["key"]]
        else:
            base = self._target.traffic_url
        if step["to"] == "traffic" or request["method"] == "DELETE":
            await self._target.settle()
        self._target.mock.forget()
        response = await self._client.request(
            request["method"], base + request["path"], headers=headers, content=content
        )
        if step["to"] == "admin" and request["method"] != "GET":
            self._target.written()
        saw = [
            {"path": seen.path, "headers": seen.headers, "body": seen.body}
            for seen in self._target.mock.requests
        ]
        return Reply(response.status_code, dict(response.headers), response.text, saw)

    async def play_together(self, together: dict[str, Any]) -> list[int]:
        """Several callers at once: their statuses, sorted."""

        async def call() -> int:
            body = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
            headers = {"X-Mock-Latency-Ms": str(together["upstream_latency_ms"])}
            url = self._target.traffic_url + together["path"]
            return (await self._client.post(url, content=body, headers=headers)).status_code

        return sorted(await asyncio.gather(*(call() for _ in range(together["callers"]))))
