"""The HTTP side of an Admin API: requests that are tried again while the gateway is not well."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from controlplane.core.objects import Body, GatewayObject, ObjectKey
from controlplane.core.quoted import told
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.driver import MOST_IN_FLIGHT
from controlplane.gateway.validation import Chunk, chunks
from controlplane.gateway.wire import WRITES, Writer, direct

PREFIX = "/apisix/admin/"
_VALIDATE = "configs/validate"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is repeated when the gateway is not well, and how long to wait between."""

    attempts: int = 4
    first_wait_s: float = 0.1
    longest_wait_s: float = 2.0

    def wait_s(self, attempt: int, chance: float) -> float:
        """Full jitter: anything from nothing to twice as long as last time."""
        return float(min(self.longest_wait_s, self.first_wait_s * 2**attempt) * chance)


class AdminClient:
    """Somebody with the key of an Admin API. Answers 5xx and time-outs are tried again, 4xx are not.

    Whatever the gateway says goes through here, and comes out of here without the secrets that it was sent.
    """

    def __init__(
        self,
        url: str,
        admin_key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = 10.0,
        in_flight: int = MOST_IN_FLIGHT,
        retry: Retry | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        base = url.rstrip("/").removesuffix(PREFIX.rstrip("/")) + PREFIX
        headers = {"X-API-KEY": admin_key}
        self._admin_key = admin_key
        self._writer = (
            Writer(base, headers, connections=in_flight, timeout_s=timeout_s)
            if transport is None and direct(base)
            else None
        )
        self.http = httpx.AsyncClient(
            base_url=base,
            headers=headers,
            # Without TLS there is nothing to verify, and the certificates of a machine take a while to read.
            verify=base.startswith("https:"),
            transport=transport,
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight),
        )
        self.retry = retry or Retry()
        self.sleep = sleep
        self._chance = chance

    async def request(
        self, method: str, path: str, body: Body | bytes | None = None, secrets: Iterable[str] = ()
    ) -> httpx.Response:
        """The gateway's success. Raises GatewayRefused for anything else.

        `secrets` are the texts in the body that an error must not repeat; looked at only where there is one.
        """
        content = orjson.dumps(body) if isinstance(body, Mapping) else body
        response = await self.answer(method, path, content, secrets)
        if response.is_success:
            return response
        raise self.refused(method, path, response, secrets)

    async def answer(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        secrets: Iterable[str] = (),
        **headers: str,
    ) -> httpx.Response:
        """What the gateway answers when it is well: a success, or its refusal."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if content is not None:
            named["Content-Type"] = "application/json"
        return await self._patiently(method, path, lambda: self._send(method, path, content, named), secrets)

    async def taken(self, path: str, take: Callable[[httpx.Response], Awaitable[None]]) -> httpx.Response:
        """What the gateway answers to a GET when it is well; `take` reads a success while it comes in.

        Where it breaks off, `take` is called anew for the next attempt.
        """

        async def attempt() -> httpx.Response:
            async with self.http.stream("GET", path) as response:
                await (take(response) if response.is_success else response.aread())
                return response

        return await self._patiently("GET", path, attempt)

    def refused(
        self, method: str, path: str, response: httpx.Response, secrets: Iterable[str] = ()
    ) -> GatewayRefused:
        """The refusal of a request in which the gateway was told these secrets."""
        return GatewayRefused(
            f"the gateway refused {method} {path}: {response.status_code} "
            f"{self._told(words(response), secrets)}",
            status=response.status_code,
        )

    def _told(self, text: str, secrets: Iterable[str] = ()) -> str:
        return told(text, [self._admin_key, *secrets])

    async def _patiently(
        self,
        method: str,
        path: str,
        send: Callable[[], Awaitable[httpx.Response]],
        secrets: Iterable[str] = (),
    ) -> httpx.Response:
        for attempt in range(self.retry.attempts):
            if attempt:
                await self.sleep(self.retry.wait_s(attempt - 1, self._chance()))
            try:
                response = await send()
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
                continue
            if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return response
            trouble = f"{response.status_code} {words(response)}"
        raise GatewayUnavailable(
            f"the gateway at {self.http.base_url.host}:{self.http.base_url.port} does not take "
            f"{method} {path} ({self.retry.attempts} attempts): {self._told(trouble, secrets)}",
            remedy="check that its Admin API is up and can be reached from here",
        )

    async def _send(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        if self._writer is None or method not in WRITES:
            return await self.http.request(method, path, content=content, headers=headers)
        # Past the client, which can do much more than is of use here: there may be many thousand writes.
        return await self._writer.send(method, path, content, headers)

    async def validate(self, objects: Iterable[GatewayObject]) -> Mapping[ObjectKey, str]:
        """What the gateway has against which of these; nothing is written.

        Raises GatewayRefused where it cannot be asked.
        """
        found: dict[ObjectKey, str] = {}
        for chunk in chunks(objects):
            response = await self.answer("POST", _VALIDATE, orjson.dumps(chunk.sections))
            if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
                raise GatewayRefused(
                    "the gateway checks no objects before they are written: its Admin API has no "
                    f"{_VALIDATE}",
                    status=response.status_code,
                    remedy="use an APISIX that has it, such as 3.18, or leave --validate-on-gateway out",
                )
            if not response.is_success:
                found |= self._reasons(chunk, response)
        return found

    def _reasons(self, chunk: Chunk, response: httpx.Response) -> dict[ObjectKey, str]:
        """What the gateway has against the objects of a chunk. Raises GatewayRefused where it names none."""
        try:
            found = chunk.reasons(json_of(response)["errors"])
        except (AttributeError, KeyError, TypeError, ValueError):
            found = {}
        if not found:
            raise self.refused("POST", _VALIDATE, response)
        return {key: self._told(reason) for key, reason in found.items()}

    async def close(self) -> None:
        """Let go of the connections."""
        if self._writer is not None:
            await self._writer.close()
        await self.http.aclose()


def json_of(response: httpx.Response) -> Any:  # Any: JSON of the gateway
    try:
        return orjson.loads(response.content)
    except ValueError:
        pass  # or it is what only a more patient reader takes, such as half of a surrogate pair
    try:
        return response.json()
    except ValueError:
        raise without_json(response) from None


def without_json(response: httpx.Response) -> GatewayUnavailable:
    return GatewayUnavailable(
        f"{response.url.path} answered {response.status_code} without JSON",
        remedy="check that the address is that of an APISIX Admin API",
    )


def strange(path: str) -> GatewayUnavailable:
    return GatewayUnavailable(
        f"what answers {path} is no Admin API of an APISIX", remedy="correct the gateway's admin_url"
    )


def words(response: httpx.Response) -> str:
    """What the gateway says, as it says it: it may quote secrets, and is not to be shown."""
    try:
        reply = response.json()
        text = reply.get("error_msg") or reply.get("message") or response.text
    except (ValueError, AttributeError):
        text = response.text
    return text if isinstance(text, str) else json.dumps(text)
