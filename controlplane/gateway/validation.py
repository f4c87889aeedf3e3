"""A gateway's own opinion of objects that it is not given: `configs/validate`, asked in chunks."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.core.objects import GatewayObject, Json, ObjectKey, resolve
from controlplane.gateway.schema import Placeholders
from controlplane.gateway.sections import placed, section_of

LARGEST_CHUNK = 1_000_000
"""Bytes in one request; an APISIX takes 1.5 MiB."""


@dataclass
class Chunk:
    """Some objects, as the endpoint takes them."""

    sections: dict[str, list[Json]] = field(default_factory=dict)
    keys: dict[tuple[str, int], ObjectKey] = field(default_factory=dict)
    size: int = 0

    def add(self, key: ObjectKey, body: Json, size: int) -> None:
        section = section_of(key)
        items = self.sections.setdefault(section, [])
        self.keys[section, len(items)] = key
        items.append(body)
        self.size += size

    def reasons(self, errors: Iterable[Mapping[str, Any]]) -> dict[ObjectKey, str]:
        """What the gateway has against which object; the first reason where it has several.

        Raises KeyError for an answer that is about none of these objects.
        """
        found: dict[ObjectKey, str] = {}
        for error in errors:
            key = self.keys[str(error["resource_type"]), int(error["index"])]
            found.setdefault(key, str(error["error"]))
        return found


def chunks(objects: Iterable[GatewayObject], largest: int = LARGEST_CHUNK) -> Iterator[Chunk]:
    """The objects in as few requests as they fit in, with a word in the place of each secret."""
    chunk = Chunk()
    for item in objects:
        body = placed(item.key, resolve(item.body, Placeholders()))
        size = len(json.dumps(body)) + 2
        if chunk.keys and chunk.size + size > largest:
            yield chunk
            chunk = Chunk()
        chunk.add(item.key, body, size)
    if chunk.keys:
        yield chunk
