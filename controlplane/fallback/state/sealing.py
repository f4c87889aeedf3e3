"""Secrets inside plugin configurations: encrypted on disk and in replies to writes, plain at run time.

As on APISIX, the same text always encrypts to the same text (AES in CBC mode, the key as the initial vector),
so that an unchanged secret is an unchanged object. The key is the gateway's own.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

_BLOCK_BITS = 128


class Sealer:
    """Encrypts and decrypts single texts."""

    def __init__(self, secret: bytes) -> None:
        key = HKDF(SHA256(), 16, salt=None, info=b"sluice gateway data encryption").derive(secret)
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(key))

    def seal(self, text: str) -> str:
        padder = PKCS7(_BLOCK_BITS).padder()
        padded = padder.update(text.encode()) + padder.finalize()
        encryptor = self._cipher.encryptor()
        return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()

    def unseal(self, text: str) -> str:
        """The plain text, or the text itself where it was never sealed with this key."""
        try:
            sealed = base64.b64decode(text, validate=True)
            decryptor = self._cipher.decryptor()
            padded = decryptor.update(sealed) + decryptor.finalize()
            unpadder = PKCS7(_BLOCK_BITS).unpadder()
            return (unpadder.update(padded) + unpadder.finalize()).decode()
        except (ValueError, binascii.Error):
            return text


def transform(value: Any, paths: Iterable[str], change: Callable[[str], str]) -> None:
    """Change the texts at dotted paths in place.

    A path goes through lists; it ends at a text, or at a list or an object of texts.
    """
    for path in paths:
        _transform(value, path.split("."), change)


def _transform(value: Any, path: list[str], change: Callable[[str], str]) -> None:
    if isinstance(value, list):
        for item in value:
            _transform(item, path, change)
        return
    if not isinstance(value, dict) or path[0] not in value:
        return
    inner = value[path[0]]
    if len(path) > 1:
        _transform(inner, path[1:], change)
    elif isinstance(inner, str):
        value[path[0]] = change(inner)
    elif isinstance(inner, list):
        value[path[0]] = [change(item) if isinstance(item, str) else item for item in inner]
    elif isinstance(inner, dict):
        for name, item in inner.items():
            if isinstance(item, str):
                inner[name] = change(item)
