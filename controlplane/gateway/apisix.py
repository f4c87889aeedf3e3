"""The driver of APISIX's Admin API (3.x), for an APISIX with etcd and for the fallback gateway alike."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial

import httpx

from controlplane.core.diff import LiveObject
from controlplane.core.objects import Body, GatewayObject, Kind, ObjectKey
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.client import AdminClient, json_of, strange, without_json
from controlplane.gateway.driver import IN_FLIGHT, Capabilities
from controlplane.gateway.lists import PackedBody, listed
from controlplane.gateway.schema import SchemaSet

_METRICS = "/apisix/prometheus/metrics"
"""Beside the Admin API, on the fallback gateway."""
_USE = re.compile(r'apisix_consumer_last_used\{consumer="([A-Za-z0-9_-]+)"\} ([0-9.e+]+)')
_LISTED = (Kind.SERVICE, Kind.PLUGIN_CONFIG, Kind.CONSUMER, Kind.ROUTE)
_NAME_FIELD = {Kind.CONSUMER: "username"}
_STILL_USED = "is still using it now"


class ApisixAdmin:
    """A gateway whose Admin API takes object by object."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client
        self._schemas: SchemaSet | None = None
        self.read_stamp: str | None = None

    async def capabilities(self) -> Capabilities:
        try:
            response = await self._client.request("GET", "plugins/list")
        except GatewayRefused as refused:
            if refused.status == httpx.codes.NOT_FOUND:
                refused.remedy = "declare a standalone APISIX with `kind: apisix-standalone`"
            raise
        version = response.headers.get("Server", "").partition("/")[2] or "unknown"
        return Capabilities(version, frozenset(json_of(response)))

    async def read(self) -> Mapping[ObjectKey, LiveObject]:
        # One unpaged list a kind: asking by page makes an APISIX read everything again for each.
        # And one after another, for each may be long.
        stamps = Stamps()
        found: dict[ObjectKey, LiveObject] = {}
        for kind in _LISTED:
            for name, body in (await self._list(kind.value, _NAME_FIELD.get(kind, "id"), stamps)).items():
                key = ObjectKey(kind, name)
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
            consumers = await self._list(Kind.CONSUMER.value, "username", stamps)
            paths = [kind.value for kind in _LISTED if kind is not Kind.CONSUMER]
            paths += [f"consumers/{name}/credentials" for name in consumers]
            await asyncio.gather(*(self._stamp(path, stamps, gate) for path in paths))
        except (httpx.TransportError, GatewayUnavailable, GatewayRefused):
            return None
        return str(stamps)

    async def find(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, LiveObject]:
        found = await asyncio.gather(*map(self._find, keys))
        return {live.key: live for live in found if live is not None}

    async def last_uses(self) -> Mapping[str, float]:
        response = await self._client.request("GET", str(self._client.http.base_url.copy_with(path=_METRICS)))
        found = (_USE.fullmatch(line) for line in response.text.splitlines())
        return {match[1]: float(match[2]) for match in found if match}

    async def write(self, key: ObjectKey, body: Body | bytes, secrets: Iterable[str] = ()) -> None:
        # A consumer is put to the collection: its name is in the body.
        path = Kind.CONSUMER.value if key.kind is Kind.CONSUMER else key.path
        await self._client.request("PUT", path, body, secrets)

    async def delete(self, key: ObjectKey) -> None:
        for attempt in range(self._client.retry.attempts):
            try:
                await self._client.request("DELETE", key.path)
            except GatewayRefused as refused:
                if refused.status == httpx.codes.NOT_FOUND:
                    return
                # An APISIX learns from etcd, some milliseconds late, that the last user is gone.
                lagging = _STILL_USED in refused.message and attempt + 1 < self._client.retry.attempts
                if not lagging:
                    raise
                await self._client.sleep(self._client.retry.wait_s(attempt, 1.0))
            else:
                return

    async def check(self, objects: Iterable[GatewayObject]) -> Mapping[ObjectKey, str]:
        if self._schemas is None:
            self._schemas = await self._fetch_schemas()
        # Apart from the loop, which has others to serve: there may be tens of thousands of objects.
        broken = await asyncio.to_thread(self._schemas.check, objects)
        if broken:
            self._schemas = None  # the gateway may be given what it misses: ask it again next time
        return broken

    async def validate(self, objects: Iterable[GatewayObject]) -> Mapping[ObjectKey, str]:
        return await self._client.validate(objects)

    async def close(self) -> None:
        await self._client.close()

    async def _fetch_schemas(self) -> SchemaSet:
        names = ("service", "plugin_config", "consumer", "credential", "route")
        plugins, *kinds = await asyncio.gather(
            self._client.request("GET", "plugins?all=true"),
            *(self._client.request("GET", f"schema/{name}") for name in names),
        )
        mains = {kind: json_of(reply) for kind, reply in zip(Kind, kinds, strict=True)}
        try:
            return SchemaSet(mains, {name: about["schema"] for name, about in json_of(plugins).items()})
        except (AttributeError, KeyError, TypeError, ValueError):
            raise strange("its schemas") from None

    async def _stamp(self, path: str, stamps: "Stamps", gate: asyncio.Semaphore) -> None:
        """Stamp a list as it comes in, without ever holding the whole of it."""
        async with gate, self._client.http.stream("GET", path) as response:
            if response.is_success:
                async for _ in stamps.watched(path, response.aiter_bytes()):
                    pass
            elif response.status_code != httpx.codes.NOT_FOUND:
                raise strange(path)

    async def _credentials(
        self, consumer: str, gate: asyncio.Semaphore, stamps: "Stamps"
    ) -> list[LiveObject]:
        async with gate:
            bodies = await self._list(f"consumers/{consumer}/credentials", "id", stamps)
        keys = {ObjectKey(Kind.CREDENTIAL, f"{consumer}/{name}"): body for name, body in bodies.items()}
        return [LiveObject(key, body) for key, body in keys.items()]

    async def _find(self, key: ObjectKey) -> LiveObject | None:
        try:
            reply = json_of(await self._client.request("GET", key.path))
        except GatewayRefused as refused:
            if refused.status == httpx.codes.NOT_FOUND:
                return None
            raise
        if not isinstance(reply, dict) or not isinstance(reply.get("value"), dict):
            raise strange(key.path)
        return LiveObject(key, reply["value"])

    async def _list(self, path: str, name_field: str, stamps: "Stamps") -> dict[str, PackedBody]:
        """The objects of a list by their names, taken one by one while it comes in."""
        found: dict[str, PackedBody] = {}

        async def take(response: httpx.Response) -> None:
            found.clear()
            async for value, body in listed(stamps.watched(path, response.aiter_bytes())):
                found[str(value[name_field])] = body

        try:
            response = await self._client.taken(path, partial(_taken, take))
        except (KeyError, TypeError):
            raise strange(path) from None
        if response.is_success:
            return found
        if response.status_code == httpx.codes.NOT_FOUND:  # nothing of the kind was ever made
            return {}
        raise self._client.refused("GET", path, response)


async def _taken(take: Callable[[httpx.Response], Awaitable[None]], response: httpx.Response) -> None:
    try:
        await take(response)
    except ValueError:
        raise without_json(response) from None


class Stamps:
    """The digests of lists, and of all of them together."""

    def __init__(self) -> None:
        self._by_path: dict[str, str] = {}

    async def watched(self, path: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks; once all are through, the list has its digest."""
        digest = hashlib.blake2b()
        async for chunk in chunks:
            digest.update(chunk)
            yield chunk
        self._by_path[path] = digest.hexdigest()

    def __str__(self) -> str:
        return hashlib.blake2b(repr(sorted(self._by_path.items())).encode()).hexdigest()
