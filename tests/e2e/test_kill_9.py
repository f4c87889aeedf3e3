"""kill -9 of each part while traffic and writes run: no acknowledged write is lost, and all converges."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.fixtures.stack_process import wait_for
from tests.fixtures.whole_stack import WholeStack, whole_stack

CHAT = "/queues/support/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WholeStack, str]]:
    folder: Path = tmp_path_factory.mktemp("kill") / "home"
    with whole_stack(folder) as stack:
        key = stack.declare(limits=[{"tokens": 10**9, "per": "1h"}])
        stack.wait_until_converged(stack.newest_revision())
        yield stack, key


@dataclass
class Load:
    """Writes to the service and calls to the gateway, one after another, until it is told to end."""

    stack: WholeStack
    key: str
    acknowledged: dict[str, int] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._write), threading.Thread(target=self._call)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def calls_since(self, number: int) -> bool:
        return 200 in self.answers[number:]

    def _write(self) -> None:
        number = 0
        with self.stack.api() as api:
            while not self._end.is_set():
                number += 1
                name, amount = f"team-{number % 7}", number
                labels = {"amount": str(amount)}
                try:
                    reply = api.patch(f"/tenants/{name}", json={"labels": labels})
                    if reply.status_code == httpx.codes.NOT_FOUND:
                        reply = api.post("/tenants", json={"name": name, "labels": labels})
                    if reply.status_code == httpx.codes.OK:
                        api.patch("/queues/support", json={"labels": labels})
                except httpx.TransportError:
                    continue
                if reply.is_success:
                    self.acknowledged[name] = amount

    def _call(self) -> None:
        with self.stack.traffic(self.key) as client:
            while not self._end.is_set():
                try:
                    self.answers.append(client.post(CHAT, json=HELLO).status_code)
                except httpx.TransportError:
                    self.answers.append(0)


@pytest.mark.parametrize("part", ["service", "gateway", "postgres", "valkey"])
def test_a_killed_part_loses_no_acknowledged_write_and_the_system_converges(
    world: tuple[WholeStack, str], part: str
) -> None:
    stack, key = world
    with Load(stack, key) as load:
        wait_for("writes and calls", lambda: len(load.acknowledged) == 7 and load.calls_since(0))
        before = stack.stack.part(part)
        assert before.pid
        os.kill(before.pid, signal.SIGKILL)
        wait_for(f"{part} is back", lambda: stack.is_back(part, before.restarts))
        seen = len(load.answers)
        wait_for("calls that pass again", lambda: load.calls_since(seen))
    with stack.api() as api:
        kept = {item["name"]: int(item["labels"]["amount"]) for item in api.get("/tenants").json()["items"]}
    # A write whose reply was lost may have been kept as well, so a newer amount is right too.
    assert all(kept[name] >= amount for name, amount in load.acknowledged.items())
    stack.wait_until_converged(stack.newest_revision())


def test_a_killed_part_leaves_no_secret_in_any_log(world: tuple[WholeStack, str]) -> None:
    stack, key = world
    secrets = [stack.stack.secret(path.name) for path in stack.stack.home.secrets.iterdir()] + [
        key,
        "sk-mock",
    ]
    logs = "".join(path.read_text(errors="replace") for path in stack.stack.home.logs.glob("*.log*"))
    assert logs
    assert not [secret for secret in secrets if secret in logs]
