"""External validators, told of calls that have their answer: in the background, and once."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx
import structlog

from controlplane.api.bodies import parse
from controlplane.core.chain import ExternalValidatorSettings
from controlplane.core.forwarding import Groups
from controlplane.core.rules import RuleSpec
from controlplane.errors import InvalidRequest, Unavailable

MOST_WAITING = 1000

log = structlog.get_logger(__name__)


def entry_of(sent: bytes) -> dict[str, Any]:  # Any: JSON
    """What a gateway has written of one call. Raises InvalidRequest."""
    # It writes addresses and headers as they came, whatever their encoding.
    said = parse(sent.decode(errors="replace").encode())
    if not isinstance(said, dict):
        raise InvalidRequest("an entry must be a JSON object", remedy="look at the gateway's http-logger")
    return said


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """What validators are told of a finished call."""

    values: Mapping[str, Any]  # Any: JSON
    headers: Mapping[str, str]

    @classmethod
    def of(cls, rule: RuleSpec, said: Mapping[str, Any]) -> Self:  # Any: JSON
        """The call that a gateway's entry tells of."""
        headers = said.get("headers")
        seconds = _number(said.get("latency_s"))
        values = {
            "rule": rule.name,
            "tenant": rule.tenant,
            **{name: said.get(name) for name in ("method", "host", "uri", "client_ip", "request_id")},
            "status": _number(said.get("status")),
            "latency_ms": None if seconds is None else round(seconds * 1000, 3),
        }
        return cls(values, headers if isinstance(headers, dict) else {})

    def told(self, settings: ExternalValidatorSettings) -> dict[str, Any]:  # Any: JSON
        """What one validator is told, and nothing else."""
        shown = {name: self.headers[name] for name in settings.headers if name in self.headers}
        return {**self.values, "headers": shown}


class Telling:
    """Tells validators, each with a deadline of its own; of `most` calls at a time."""

    def __init__(self, client: httpx.AsyncClient, most: int = MOST_WAITING) -> None:
        self._client = client
        self._most = most
        self._under_way: set[asyncio.Task[None]] = set()

    def tell(self, groups: Groups, call: FinishedCall) -> None:
        """Begin to tell them, one group after the other. Raises Unavailable."""
        if len(self._under_way) >= self._most:
            raise Unavailable("too many finished calls are being told", remedy="try again later")
        task = asyncio.create_task(self._tell(groups, call))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _tell(self, groups: Groups, call: FinishedCall) -> None:
        for group in groups:
            await asyncio.gather(*(self._tell_one(one.settings, call) for one in group))

    async def _tell_one(self, settings: ExternalValidatorSettings, call: FinishedCall) -> None:
        try:
            async with asyncio.timeout(settings.timeout_ms / 1000):
                async with self._client.stream("POST", settings.url, json=call.told(settings)) as answer:
                    reason = f"status {answer.status_code}" if answer.status_code >= 300 else None
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            reason = type(error).__name__
        if reason is not None:
            log.warning("finished_call_not_told", rule=call.values["rule"], reason=reason)


def _number(value: object) -> float | int | None:
    """A number that a gateway wrote as one, or as a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else value
