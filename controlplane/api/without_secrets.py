"""A document that is held without its secrets: whoever sends the same text again brings what opens them."""

import os
from dataclasses import dataclass, field
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from controlplane.core.spec import Document
from controlplane.store.records import Kind

_NONCE = 12
_SECRET = tuple((kind.plural, kind.secret_fields) for kind in Kind if kind.secret_fields)

_Texts = list[tuple[str, int, dict[str, str]]]
"""Kind, place and secrets of each object that has some."""


@dataclass(frozen=True, slots=True)
class WithoutSecrets:
    """A document, and its secrets sealed with a key that is not held with it."""

    document: Document = field(repr=False)
    sealed: bytes = field(repr=False)

    @classmethod
    def of(cls, document: Document, key: bytes) -> "WithoutSecrets":
        found = _texts(document)
        bare = _with(document, [(kind, place, dict.fromkeys(texts)) for kind, place, texts in found])
        nonce = os.urandom(_NONCE)
        return cls(bare, nonce + AESGCM(key).encrypt(nonce, orjson.dumps(found), None))

    def opened(self, key: bytes) -> Document:
        """The document as it was."""
        nonce, sealed = self.sealed[:_NONCE], self.sealed[_NONCE:]
        found: _Texts = orjson.loads(AESGCM(key).decrypt(nonce, sealed, None))
        return _with(
            self.document,
            [
                (kind, place, {name: SecretStr(text) for name, text in texts.items()})
                for kind, place, texts in found
            ],
        )


def _texts(document: Document) -> _Texts:
    found: _Texts = []
    for plural, names in _SECRET:
        for place, spec in enumerate(getattr(document, plural)):
            values = ((name, getattr(spec, name)) for name in names)
            texts = {name: value.get_secret_value() for name, value in values if value is not None}
            if texts:
                found.append((plural, place, texts))
    return found


def _with(document: Document, changes: list[tuple[str, int, dict[str, Any]]]) -> Document:
    """The document with these fields of objects changed. Any: fields."""
    parts = {plural: list(getattr(document, plural)) for plural in {plural for plural, _, _ in changes}}
    for plural, place, fields in changes:
        parts[plural][place] = parts[plural][place].model_copy(update=fields)
    return document.model_copy(update={plural: tuple(specs) for plural, specs in parts.items()})
