"""External validators, asked on behalf of gateways: one group after the other, each group at once."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from controlplane.core.chain import ExternalValidator, ExternalValidatorSettings, Fail

_LARGEST_ANSWER = 64 * 1024
_JSON = "application/json"
_NO_ANSWER = b'{"error_msg":"a validator of this rule did not answer in time; try again later"}'
_TOO_LATE = 503


@dataclass(frozen=True, slots=True)
class Call:
    """What validators are told of a call."""

    rule: str
    tenant: str | None
    method: str
    host: str
    uri: str
    client_ip: str
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)

    def told(self, settings: ExternalValidatorSettings) -> dict[str, Any]:  # Any: JSON
        """What one validator is told, and nothing else."""
        shown = {name: self.headers[name] for name in settings.headers if name in self.headers}
        value: dict[str, Any] = {
            "rule": self.rule,
            "tenant": self.tenant,
            "method": self.method,
            "host": self.host,
            "uri": self.uri,
            "client_ip": self.client_ip,
            "headers": shown,
        }
        return value | _body(self.body) if settings.send_body else value


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of the call. Below 300 it may go on."""

    status: int = 204
    body: bytes = b""
    content_type: str = _JSON
    retry_after: str | None = None

    @property
    def refuses(self) -> bool:
        return self.status >= 300


PASSED = Verdict()


class Validators:
    """Asks validators, each with a deadline of its own."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def judge(self, groups: Sequence[Sequence[ExternalValidator]], call: Call) -> Verdict:
        """The first refusal in the order of the chain, or that the call may go on."""
        for group in groups:
            # All of a group are heard, so that who answers first changes nothing.
            verdicts = await asyncio.gather(*(self._ask(one.settings, call) for one in group))
            for verdict in verdicts:
                if verdict.refuses:
                    return verdict
        return PASSED

    async def _ask(self, settings: ExternalValidatorSettings, call: Call) -> Verdict:
        try:
            async with asyncio.timeout(settings.timeout_ms / 1000):
                answer, body = await self._answer(settings, call)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL):
            return _unheard(settings)
        if answer.status_code < 300:
            return PASSED
        if not 400 <= answer.status_code < 500:
            return _unheard(settings)
        kind = answer.headers.get("content-type", _JSON)
        return Verdict(answer.status_code, body, kind, answer.headers.get("retry-after"))

    async def _answer(self, settings: ExternalValidatorSettings, call: Call) -> tuple[httpx.Response, bytes]:
        async with self._client.stream("POST", settings.url, json=call.told(settings)) as answer:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    break
        return answer, bytes(body[:_LARGEST_ANSWER])


def validators_client() -> httpx.AsyncClient:
    """A client that goes where it is told and nowhere else."""
    return httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=30)


def _unheard(settings: ExternalValidatorSettings) -> Verdict:
    return PASSED if settings.fail is Fail.OPEN else Verdict(_TOO_LATE, _NO_ANSWER)


def _body(data: bytes) -> dict[str, str]:
    try:
        return {"body": data.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(data).decode()}
