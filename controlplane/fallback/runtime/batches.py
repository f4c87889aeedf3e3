"""Entries that are sent elsewhere in batches: when there are enough, when it is quiet, or when it is time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from controlplane.clock import Clock

Send = Callable[[list[Any]], Awaitable[None]]
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class NotSent(Exception):
    """The other side did not take a batch; it may be tried again."""


@dataclass(frozen=True, slots=True)
class BatchRules:
    """When a batch is sent, and how often it is tried."""

    most: int = 1000
    quiet_s: float = 5
    longest_s: float = 60
    retries: int = 0
    retry_delay_s: float = 1
    pending: int = 8192


class Batches:
    """Collects entries and sends them in the background. When too many wait, new ones are dropped."""

    def __init__(self, name: str, rules: BatchRules, send: Send, spawn: Spawn, clock: Clock) -> None:
        self._name = name
        self._rules = rules
        self._send = send
        self._spawn = spawn
        self._clock = clock
        self._entries: list[Any] = []
        self._first_at = 0.0
        self._last_at = 0.0
        self._watching = False
        self._under_way = 0
        self.dropped = 0
        self._log = structlog.get_logger("gateway.batches")

    def add(self, entry: Any) -> None:
        """Put an entry into the next batch."""
        if len(self._entries) + self._under_way >= self._rules.pending:
            self.dropped += 1
            return
        now = self._clock.monotonic()
        if not self._entries:
            self._first_at = now
        self._last_at = now
        self._entries.append(entry)
        if len(self._entries) >= self._rules.most:
            self._flush()
        elif not self._watching:
            self._watching = True
            self._spawn(self._watch())

    async def close(self) -> None:
        """Send what is left, once."""
        entries, self._entries = self._entries, []
        if entries:
            await self._try(entries, retries=0)

    def _flush(self) -> None:
        entries, self._entries = self._entries, []
        if entries:
            self._under_way += len(entries)
            self._spawn(self._deliver(entries))

    async def _watch(self) -> None:
        """Wait until the batch has been quiet for long enough, or has waited for long enough."""
        try:
            while self._entries:
                now = self._clock.monotonic()
                due = min(self._last_at + self._rules.quiet_s, self._first_at + self._rules.longest_s)
                if now >= due:
                    self._flush()
                else:
                    await asyncio.sleep(due - now)
        finally:
            self._watching = False

    async def _deliver(self, entries: list[Any]) -> None:
        try:
            await self._try(entries, retries=self._rules.retries)
        finally:
            self._under_way -= len(entries)

    async def _try(self, entries: list[Any], *, retries: int) -> None:
        for attempt in range(retries + 1):
            try:
                await self._send(entries)
            except NotSent as error:
                self._log.error("batch not taken", name=self._name, reason=str(error), left=retries - attempt)
                if attempt < retries:
                    await asyncio.sleep(self._rules.retry_delay_s)
            else:
                return
        self.dropped += len(entries)
