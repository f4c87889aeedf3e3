"""The driver of APISIX's Admin API (3.x), for an APISIX with etcd and for the fallback gateway alike."""

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from controlplane.core.diff import LiveObject
from controlplane.core.objects import Body, GatewayObject, Json, Kind, ObjectKey
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.driver import IN_FLIGHT, Capabilities
from controlplane.gateway.lists import PackedBody, listed
from controlplane.gateway.schema import SchemaSet
from controlplane.gateway.validation import Chunk, chunks

PREFIX = "/apisix/admin/"
_METRICS = "/apisix/prometheus/metrics"
"""Beside the Admin API, on the fallback gateway."""
_USE = re.compile(r'apisix_consumer_last_used\{consumer="([A-Za-z0-9_-]+)"\} ([0-9.e+]+)')
_LISTED = (Kind.SERVICE, Kind.PLUGIN_CONFIG, Kind.CONSUMER, Kind.ROUTE)
_NAME_FIELD = {Kind.CONSUMER: "username"}
_LONGEST_MESSAGE = 500
_VALIDATE = "configs/validate"
_STILL_USED = "is still using it now"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is repeated when the gateway is not well, and how long to wait between."""

    attempts: int = 4
    first_wait_s: float = 0.1
    longest_wait_s: float = 2.0

    def wait_s(self, attempt: int, chance: float) -> float:
        """Full jitter: anything from nothing to twice as long as last time."""
        return float(min(self.longest_wait_s, self.first_wait_s * 2**attempt) * chance)


class ApisixAdmin:
    """A gateway behind an Admin API. Answers 5xx and time-outs are tried again, 4xx are not."""

    def __init__(
        self,
        url: str,
        admin_key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = 10.0,
        in_flight: int = IN_FLIGHT,
        retry: Retry | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/").removesuffix(PREFIX.rstrip("/")) + PREFIX,
            headers={"X-API-KEY": admin_key},
            transport=transport,
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight),
        )
        self._retry = retry or Retry()
        self._sleep = sleep
        self._chance = chance
        self._schemas: SchemaSet | None = None
        self.read_stamp: str | None = None

    async def capabilities(self) -> Capabilities:
        response = await self._request("GET", "plugins/list")
        version = response.headers.get("Server", "").partition("/")[2] or "unknown"
        return Capabilities(version, frozenset(_json(response)))

    async def read(self) -> Mapping[ObjectKey, LiveObject]:
        # One unpaged list a kind: asking by page makes an APISIX read everything again for each.
        # And one after another, for each may be long.
        stamps = Stamps()
        found: dict[ObjectKey, LiveObject] = {}
        for kind in _LISTED:
            for value, body in await self._list(kind.value, stamps):
                key = ObjectKey(kind, str(value[_NAME_FIELD.get(kind, "id")]))
                found[key] = LiveObject(key, body)
        consumers = [key.id for key in found if key.kind is Kind.CONSUMER]
        gate = asyncio.Semaphore(IN_FLIGHT)
        of_each = (self._credentials(name, gate, stamps) for name in consumers)
        for credentials in await asyncio.gather(*of_each):
            found.update({live.key: live for live in credentials})
        self.read_stamp = str(stamps)
        return found

    async def stamp(self) -> str | None:
        stamps, gate = Stamps(), asyncio.Semaphore(IN_FLIGHT)
        try:
            consumers = [value for value, _ in await self._list(Kind.CONSUMER.value, stamps)]
            paths = [kind.value for kind in _LISTED if kind is not Kind.CONSUMER]
            paths += [f"consumers/{value['username']}/credentials" for value in consumers]
            await asyncio.gather(*(self._stamp(path, stamps, gate) for path in paths))
        except (httpx.TransportError, GatewayUnavailable, GatewayRefused, KeyError):
            return None
        return str(stamps)

    async def find(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, LiveObject]:
        found = await asyncio.gather(*map(self._find, keys))
        return {live.key: live for live in found if live is not None}

    async def last_uses(self) -> Mapping[str, float]:
        response = await self._request("GET", str(self._client.base_url.copy_with(path=_METRICS)))
        found = (_USE.fullmatch(line) for line in response.text.splitlines())
        return {match[1]: float(match[2]) for match in found if match}

    async def write(self, key: ObjectKey, body: Body) -> None:
        # A consumer is put to the collection: its name is in the body.
        path = Kind.CONSUMER.value if key.kind is Kind.CONSUMER else key.path
        await self._request("PUT", path, body)

    async def delete(self, key: ObjectKey) -> None:
        for attempt in range(self._retry.attempts):
            try:
                await self._request("DELETE", key.path)
            except GatewayRefused as refused:
                if refused.status == httpx.codes.NOT_FOUND:
                    return
                # An APISIX learns from etcd, some milliseconds late, that the last user is gone.
                lagging = _STILL_USED in refused.message and attempt + 1 < self._retry.attempts
                if not lagging:
                    raise
                await self._sleep(self._retry.wait_s(attempt, 1.0))
            else:
                return

    async def check(self, objects: Iterable[GatewayObject]) -> Mapping[ObjectKey, str]:
        if self._schemas is None:
            self._schemas = await self._fetch_schemas()
        broken = self._schemas.check(objects)
        if broken:
            self._schemas = None  # the gateway may be given what it misses: ask it again next time
        return broken

    async def validate(self, objects: Iterable[GatewayObject]) -> Mapping[ObjectKey, str]:
        found: dict[ObjectKey, str] = {}
        for chunk in chunks(objects):
            response = await self._answer("POST", _VALIDATE, chunk.sections)
            if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
                raise GatewayRefused(
                    "the gateway checks no objects before they are written: its Admin API has no "
                    f"{_VALIDATE}",
                    status=response.status_code,
                    remedy="use an APISIX that has it, such as 3.18, or leave --validate-on-gateway out",
                )
            if not response.is_success:
                found |= _reasons(chunk, response)
        return found

    async def close(self) -> None:
        await self._client.aclose()

    async def _fetch_schemas(self) -> SchemaSet:
        names = ("service", "plugin_config", "consumer", "credential", "route")
        plugins, *kinds = await asyncio.gather(
            self._request("GET", "plugins?all=true"),
            *(self._request("GET", f"schema/{name}") for name in names),
        )
        mains = {kind: _json(reply) for kind, reply in zip(Kind, kinds, strict=True)}
        try:
            return SchemaSet(mains, {name: about["schema"] for name, about in _json(plugins).items()})
        except (AttributeError, KeyError, TypeError, ValueError):
            raise _strange("its schemas") from None

    async def _stamp(self, path: str, stamps: "Stamps", gate: asyncio.Semaphore) -> None:
        """Stamp a list as it comes in, without ever holding the whole of it."""
        async with gate, self._client.stream("GET", path) as response:
            if response.is_success:
                await stamps.stream(path, response.aiter_bytes())
            elif response.status_code != httpx.codes.NOT_FOUND:
                raise _strange(path)

    async def _credentials(
        self, consumer: str, gate: asyncio.Semaphore, stamps: "Stamps"
    ) -> list[LiveObject]:
        async with gate:
            values = await self._list(f"consumers/{consumer}/credentials", stamps)
            keys = [(ObjectKey(Kind.CREDENTIAL, f"{consumer}/{value['id']}"), body) for value, body in values]
        return [LiveObject(key, body) for key, body in keys]

    async def _find(self, key: ObjectKey) -> LiveObject | None:
        try:
            reply = _json(await self._request("GET", key.path))
        except GatewayRefused as refused:
            if refused.status == httpx.codes.NOT_FOUND:
                return None
            raise
        if not isinstance(reply, dict) or not isinstance(reply.get("value"), dict):
            raise _strange(key.path)
        return LiveObject(key, reply["value"])

    async def _list(self, path: str, stamps: "Stamps") -> Iterator[tuple[dict[str, Json], PackedBody]]:
        """The objects of a list, one by one."""
        try:
            response = await self._request("GET", path)
        except GatewayRefused as refused:
            if refused.status == httpx.codes.NOT_FOUND:  # nothing of the kind was ever made
                return iter(())
            raise
        stamps.add(path, response.content)
        return _each(response)

    async def _request(self, method: str, path: str, body: Body | None = None) -> httpx.Response:
        response = await self._answer(method, path, body)
        if response.is_success:
            return response
        raise _refused(method, path, response)

    async def _answer(self, method: str, path: str, body: Body | None = None) -> httpx.Response:
        """What the gateway answers when it is well: a success, or its refusal."""
        content = None if body is None else orjson.dumps(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        for attempt in range(self._retry.attempts):
            if attempt:
                await self._sleep(self._retry.wait_s(attempt - 1, self._chance()))
            try:
                response = await self._client.request(method, path, content=content, headers=headers)
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
                continue
            if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return response
            trouble = f"{response.status_code} {_message(response)}"
        raise GatewayUnavailable(
            f"the gateway at {self._client.base_url.host}:{self._client.base_url.port} does not take "
            f"{method} {path} ({self._retry.attempts} attempts): {trouble}",
            remedy="check that its Admin API is up and can be reached from here",
        )


def _each(response: httpx.Response) -> Iterator[tuple[dict[str, Json], PackedBody]]:
    try:
        yield from listed(response.content)
    except (AttributeError, KeyError, TypeError, ValueError):
        _json(response)
        raise _strange(response.url.path) from None


class Stamps:
    """The digests of lists, and of all of them together."""

    def __init__(self) -> None:
        self._by_path: dict[str, str] = {}

    def add(self, path: str, content: bytes) -> None:
        self._by_path[path] = hashlib.blake2b(content).hexdigest()

    async def stream(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        digest = hashlib.blake2b()
        async for chunk in chunks:
            digest.update(chunk)
        self._by_path[path] = digest.hexdigest()

    def __str__(self) -> str:
        return hashlib.blake2b(repr(sorted(self._by_path.items())).encode()).hexdigest()


def _json(response: httpx.Response) -> Any:  # Any: JSON of the gateway
    try:
        return orjson.loads(response.content)
    except ValueError:
        pass  # or it is what only a more patient reader takes, such as half of a surrogate pair
    try:
        return response.json()
    except ValueError:
        raise GatewayUnavailable(
            f"{response.url.path} answered {response.status_code} without JSON",
            remedy="check that the address is that of an APISIX Admin API",
        ) from None


def _refused(method: str, path: str, response: httpx.Response) -> GatewayRefused:
    return GatewayRefused(
        f"the gateway refused {method} {path}: {response.status_code} {_message(response)}",
        status=response.status_code,
    )


def _reasons(chunk: Chunk, response: httpx.Response) -> dict[ObjectKey, str]:
    """What the gateway has against the objects of a chunk. Raises GatewayRefused where it names none."""
    try:
        found = chunk.reasons(_json(response)["errors"])
    except (AttributeError, KeyError, TypeError, ValueError):
        found = {}
    if not found:
        raise _refused("POST", _VALIDATE, response)
    return {key: reason[:_LONGEST_MESSAGE] for key, reason in found.items()}


def _strange(path: str) -> GatewayUnavailable:
    return GatewayUnavailable(
        f"what answers {path} is no Admin API of an APISIX", remedy="correct the gateway's admin_url"
    )


def _message(response: httpx.Response) -> str:
    try:
        reply = response.json()
        text = reply.get("error_msg") or reply.get("message") or response.text
    except (ValueError, AttributeError):
        text = response.text
    return str(text).strip()[:_LONGEST_MESSAGE]
