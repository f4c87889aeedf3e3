"""The driver of an API-driven standalone APISIX: its whole configuration is one document, written at once.

There is no If-Match. What tells that somebody else has written meanwhile are the versions of the sections:
the gateway refuses a lower one, and keeps what it holds under an equal one. So a write raises by one the
versions of what it changes, sends all others as they were read, and looks afterwards at what is there.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import orjson

from controlplane.core.diff import LiveObject
from controlplane.core.objects import Body, GatewayObject, Json, ObjectKey
from controlplane.core.sounding import secrets_of_gateway
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.client import AdminClient, strange, words
from controlplane.gateway.driver import Capabilities, Write
from controlplane.gateway.lists import PackedEntry, unpacked
from controlplane.gateway.moved import Seen
from controlplane.gateway.sections import Entry, Sections, is_done, key_of, live, placed, rewritten

_CONFIGS = "configs"
_DIGEST, _MODIFIED = "X-Digest", "X-Last-Modified"
_VERSION = "_conf_version"
_BEHIND = "must be greater than or equal to"
_ATTEMPTS = 5
_NULL = re.compile(rb'(?<!\\)"userdata: NULL"')
"""How an APISIX 3.18 shows a null that it was given and has kept."""


@dataclass(frozen=True, slots=True)
class _Document:
    """Everything that the gateway holds."""

    sections: Sections[bytes]
    versions: Mapping[str, int]
    """By section."""
    stamp: str | None = None
    live: Mapping[ObjectKey, LiveObject] = field(default_factory=dict)

    def text(self, changed: Collection[str] = ()) -> bytes:
        """The document as it is sent, with another version for each section that has changed."""
        parts: dict[str, Json] = {
            section: [orjson.Fragment(entry.raw) for entry in entries]
            for section, entries in self.sections.items()
        }
        versions = {**dict.fromkeys(self.sections, 0), **self.versions}
        parts |= {f"{name}{_VERSION}": version + (name in changed) for name, version in versions.items()}
        return orjson.dumps(parts)


class ApisixStandalone:
    """A standalone APISIX that takes its configuration through its Admin API."""

    def __init__(self, client: AdminClient, plugins: Collection[str]) -> None:
        self._client = client
        self._plugins = frozenset(plugins)
        self._seen = Seen()
        self.read_stamp: str | None = None

    async def capabilities(self) -> Capabilities:
        response = await self._head()
        version = response.headers.get("Server", "").partition("/")[2] or "unknown"
        return Capabilities(version, self._plugins)

    async def read(self) -> Mapping[ObjectKey, LiveObject]:
        document = await self._document()
        await asyncio.to_thread(self._seen.keep, document.live)
        self.read_stamp = document.stamp
        return document.live

    async def stamp(self) -> str | None:
        try:
            return _stamp(await self._head())
        except (GatewayUnavailable, GatewayRefused):
            return None

    async def find(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, LiveObject]:
        if not keys:
            return {}
        found = await self.read()
        return {key: found[key] for key in keys if key in found}

    async def write_all(self, writes: Sequence[Write]) -> Mapping[ObjectKey, str]:
        for attempt in range(_ATTEMPTS):
            if attempt:
                await self._client.sleep(self._client.retry.wait_s(attempt - 1, 1.0))
            before = await self._document()
            self._seen.check(writes, before.live)
            made = rewritten(before.sections, writes, _packed)
            if made.changed:
                after = _Document(made.sections, before.versions)
                if not await self._put(after.text(made.changed), _secrets(writes, after)):
                    continue
                before = await self._document()
            due = [write for write in writes if write.key not in made.left_out]
            if all(is_done(write, before.live) for write in due):
                await asyncio.to_thread(self._seen.keep, before.live)
                return made.left_out
        raise GatewayRefused(
            "somebody else keeps writing to the gateway at the same time, so that nothing could be written",
            status=httpx.codes.CONFLICT,
            remedy="let one control plane alone write to it, or wait for the next pass",
        )

    async def check(self, objects: Iterable[GatewayObject]) -> Mapping[ObjectKey, str]:
        try:
            return await self._client.validate(objects)
        except GatewayRefused:
            return {}  # it cannot be asked: the write will say

    async def last_uses(self) -> Mapping[str, float]:
        return {}

    async def validate(self, objects: Iterable[GatewayObject]) -> Mapping[ObjectKey, str]:
        return await self._client.validate(objects)

    async def close(self) -> None:
        await self._client.close()

    async def _head(self) -> httpx.Response:
        response = await self._client.answer("HEAD", _CONFIGS)
        if not response.is_success:
            raise self._no_standalone("HEAD", response)
        return response

    async def _document(self) -> _Document:
        response = await self._client.answer("GET", _CONFIGS)
        if not response.is_success:
            raise self._no_standalone("GET", response)
        return await asyncio.to_thread(_read, response)  # it may be long

    async def _put(self, text: bytes, secrets: Iterable[str]) -> bool:
        """Hand in a document with these secrets; False where somebody else was quicker."""
        digest = hashlib.blake2b(text, digest_size=32).hexdigest()
        # The same digest again is no write, so that a request may be repeated whose reply was lost.
        response = await self._client.answer("PUT", _CONFIGS, text, secrets, X_Digest=digest)
        if response.is_success:
            return True
        if response.status_code == httpx.codes.BAD_REQUEST and _BEHIND in words(response):
            return False
        raise self._client.refused("PUT", _CONFIGS, response, secrets)

    def _no_standalone(self, method: str, response: httpx.Response) -> GatewayRefused:
        if response.status_code != httpx.codes.NOT_FOUND:
            return self._client.refused(method, _CONFIGS, response)
        return GatewayRefused(
            f"the Admin API has no {_CONFIGS}, which every standalone APISIX has",
            status=response.status_code,
            remedy="declare the gateway with `kind: apisix`, or start it with config_provider: yaml",
        )


def _read(response: httpx.Response) -> _Document:
    try:
        parts = unpacked(_NULL.sub(b"null", response.content))
    except ValueError:
        parts = None
    if not isinstance(parts, dict):
        raise strange(_CONFIGS)
    sections: dict[str, list[Entry[bytes]]] = {}
    versions: dict[str, int] = {}
    for name, value in parts.items():
        if name.endswith(_VERSION):
            versions[name.removesuffix(_VERSION)] = value
        elif isinstance(value, list):
            sections[name] = [_entry(key_of(name, item), item) for item in value]
    if not versions:
        raise strange(_CONFIGS)
    return _Document(sections, versions, _stamp(response), live(sections))


def _secrets(writes: Iterable[Write], document: _Document) -> Iterator[str]:
    """What must not be told of a document, which has others' objects as well."""
    for write in writes:
        yield from write.secrets
    for entries in document.sections.values():
        for entry in entries:
            yield from secrets_of_gateway(unpacked(entry.raw))


def _packed(key: ObjectKey, body: Body) -> Entry[bytes]:
    return _entry(key, placed(key, body))


def _entry(key: ObjectKey | None, item: Json) -> Entry[bytes]:
    try:
        raw = orjson.dumps(item)
    except TypeError:  # half of a surrogate pair
        raw = json.dumps(item).encode()
    return Entry(key, PackedEntry(raw) if isinstance(item, dict) else {}, raw)


def _stamp(response: httpx.Response) -> str | None:
    """What the gateway calls its content; None for one that was never given any."""
    digest = response.headers.get(_DIGEST)
    return f"{digest} {response.headers.get(_MODIFIED)}" if digest else None
