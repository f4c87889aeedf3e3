"""Objects of a gateway as frozen values, with a canonical form, a hash, and the order they depend on."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

import orjson

from controlplane.core.secrets import GatewaySecret, SecretRef

# Any: the JSON of a gateway object is as open as the gateway's plugins are; its shape is checked
# against the gateway's own schema.
Json = Any
Body = Mapping[str, Json]

OWNER_LABEL = "sluice-owner"
SOURCE_LABEL = "sluice-source"
HASH_LABEL = "sluice-hash"
NAME_LABEL = "sluice-name"

SECRET_MARK = "$sluice-secret"  # noqa: S105 - the mark of a handle, no secret

_MARK = SECRET_MARK.encode()
_STRING = rb'"(?:[^"\\]|\\.)*"'
_FRACTION = re.compile(rb"[:,\[]-?[0-9]+[.e]")
# Inside a string its quotes would be escaped, so that it is found nowhere but where a handle was packed.
_HANDLE = re.compile(rb'\{"%b":(\[%b\])\}' % (re.escape(_MARK), rb",".join([_STRING] * 4)))


class Kind(StrEnum):
    """Kinds of gateway objects that we make, parents before those that refer to them."""

    SERVICE = "services"
    PLUGIN_CONFIG = "plugin_configs"
    CONSUMER = "consumers"
    CREDENTIAL = "credentials"
    ROUTE = "routes"

    @property
    def rank(self) -> int:
        return _RANK[self]


_RANK = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Which object: its kind and id. A credential's id is `consumer/credential`."""

    kind: Kind
    id: str

    def __hash__(self) -> int:
        # Few objects of two kinds have the same id, and to hash a kind takes longer than all the rest.
        return hash(self.id)

    @property
    def path(self) -> str:
        """Path below `/apisix/admin/`."""
        if self.kind is Kind.CREDENTIAL:
            consumer, _, credential = self.id.partition("/")
            return f"consumers/{consumer}/credentials/{credential}"
        return f"{self.kind}/{self.id}"

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class GatewayObject:
    """An object as it should be on a gateway. Secrets in `body` are handles."""

    key: ObjectKey
    text: bytes = field(repr=False)
    """The body, packed: tens of thousands of objects are kept, and few of them are ever looked into."""
    hash: str
    declared_by: str
    """What a user declared that this object serves, such as `queue support`."""

    @property
    def body(self) -> Body:
        """The body, unpacked anew for every caller."""
        found: Body = unpacked(self.text)
        return found

    @property
    def references(self) -> tuple[ObjectKey, ...]:
        """The objects that must exist before this one."""
        found = []
        body = self.body if self.key.kind is Kind.ROUTE else {}
        if service := body.get("service_id"):
            found.append(ObjectKey(Kind.SERVICE, service))
        if plugin_config := body.get("plugin_config_id"):
            found.append(ObjectKey(Kind.PLUGIN_CONFIG, plugin_config))
        if self.key.kind is Kind.CREDENTIAL:
            found.append(ObjectKey(Kind.CONSUMER, self.key.id.partition("/")[0]))
        return tuple(found)


_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def packed(value: Json) -> bytes:
    """A body, or a part of one, as JSON; handles of secrets are marked in it."""
    return orjson.dumps(value, default=_marked, option=_OPTIONS)


def unpacked(text: bytes) -> Json:
    """What was packed. Raises ValueError for what is no JSON."""
    value = orjson.loads(text)
    return _with_handles(value) if _MARK in text else value


def _marked(value: object) -> Json:
    if isinstance(value, SecretRef):
        return {SECRET_MARK: ["sealed", value.name, value.fingerprint, value.prefix]}
    if isinstance(value, GatewaySecret):
        return {SECRET_MARK: ["gateway", value.reference, "", value.prefix]}
    raise TypeError(f"a {type(value).__name__} has no place in a gateway object")


def _with_handles(value: Json) -> Json:
    if isinstance(value, dict):
        if SECRET_MARK not in value:
            return {name: _with_handles(item) for name, item in value.items()}
        return _handle(value[SECRET_MARK])
    return [_with_handles(item) for item in value] if isinstance(value, list) else value


def _handle(marked: Sequence[str]) -> SecretRef | GatewaySecret:
    kind, name, mark, prefix = marked
    return SecretRef(name, mark, prefix) if kind == "sealed" else GatewaySecret(name, prefix)


@lru_cache(maxsize=4096)
def _marked_handle(mark: bytes) -> SecretRef | GatewaySecret:
    """The handle of a packed mark; the objects of all queues of a provider have the same."""
    return _handle(orjson.loads(mark))


def secret_names(objects: Iterable[GatewayObject]) -> set[str]:
    """The sealed secrets that must be put into bodies before they are written."""
    # Alike marks are one secret, and there are far fewer secrets than objects that use them.
    marks = {mark for item in objects if _MARK in item.text for mark in _HANDLE.findall(item.text)}
    handles = map(_marked_handle, marks)
    return {handle.name for handle in handles if isinstance(handle, SecretRef)}


def _canonical_secret(value: object) -> Json:
    if isinstance(value, SecretRef):
        return {"$secret": value.fingerprint, "prefix": value.prefix}
    if isinstance(value, GatewaySecret):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a gateway object")


def canonical(value: Json) -> str:
    """The one text of a body, or of a part of one: sorted keys, no spaces, secrets as fingerprints."""
    text = orjson.dumps(value, default=_canonical_secret, option=_OPTIONS | orjson.OPT_SORT_KEYS)
    if text.isascii() and not _FRACTION.search(b":" + text):
        return text.decode()
    # The hashes on record are of what Python writes, which has other words for such texts and numbers.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_canonical_secret)


def body_hash(body: Body) -> str:
    """What tells two bodies apart. The label that carries the hash is not part of it."""
    labels = {name: text for name, text in body.get("labels", {}).items() if name != HASH_LABEL}
    return digest_of(canonical({**body, "labels": labels}))


def digest_of(text: str) -> str:
    """The hash of a body, by its canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def found_at(body: Json, path: Sequence[str | int]) -> Json:
    """What stands at a path of a body; None where nothing does."""
    value = body
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def resolved(text: bytes, texts: Mapping[str, str]) -> bytes:
    """A packed body as it goes over the wire, without unpacking it: every handle replaced by its text.

    Raises KeyError with the name of a secret that has none.
    """
    if _MARK not in text:
        return text
    return _HANDLE.sub(lambda found: orjson.dumps(resolve(_marked_handle(found[1]), texts)), text)


def resolve(value: Json, texts: Mapping[str, str]) -> Json:
    """The same of a body that is unpacked."""
    if isinstance(value, SecretRef):
        return value.prefix + texts[value.name]
    if isinstance(value, GatewaySecret):
        return value.prefix + value.reference
    if isinstance(value, Mapping):
        return {name: resolve(item, texts) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(item, texts) for item in value]
    return value
