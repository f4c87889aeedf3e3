"""Secrets at rest: authenticated encryption under the master key.

A sealed text reads `sealed:1:KEY:DATA`. 1 is the format, KEY says which master key sealed it (so that
keys can be rotated), DATA is base64url of a 12-byte nonce and the AES-256-GCM ciphertext. The secret's
place in the store is authenticated with it: a sealed text moved to another row does not open there.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from controlplane.core.secrets import fingerprint
from controlplane.errors import CannotUnseal, InvalidSettings

FORMAT = "sealed:1"
MASTER_KEY_BYTES = 32
_NONCE_BYTES = 12


class Sealer:
    """Seals and opens secrets, and makes the keyed digests by which they are compared and found."""

    def __init__(self, master_key: bytes, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        if len(master_key) != MASTER_KEY_BYTES:
            raise InvalidSettings(
                f"the master key has {len(master_key)} bytes, not {MASTER_KEY_BYTES}",
                remedy="make one with: head -c 32 /dev/urandom | base64",
            )
        self.key_id = _derive(master_key, "key id")[:4].hex()
        self._cipher = AESGCM(_derive(master_key, "seal"))
        self._fingerprint_key = _derive(master_key, "fingerprint")
        self._lookup_key = _derive(master_key, "api key look-up")
        self._audit_key = _derive(master_key, "audit")
        self._validation_key = _derive(master_key, "validation")
        self._uses_key = _derive(master_key, "uses")
        self._random_bytes = random_bytes

    @classmethod
    def from_text(cls, master_key: str) -> "Sealer":
        """The sealer of a master key as SLUICE_MASTER_KEY holds it: base64, of either alphabet."""
        try:
            decoded = base64.b64decode(
                master_key.strip(), altchars=b"-_" if set(master_key) & {*"-_"} else None
            )
        except (binascii.Error, ValueError):
            raise InvalidSettings(
                "the master key is no base64", remedy="make one with: head -c 32 /dev/urandom | base64"
            ) from None
        return cls(decoded)

    def seal(self, text: str, place: str) -> str:
        """The text, readable only with the master key and only at this place."""
        nonce = self._random_bytes(_NONCE_BYTES)
        data = nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())
        return f"{FORMAT}:{self.key_id}:{base64.urlsafe_b64encode(data).decode()}"

    def unseal(self, sealed: str, place: str) -> str:
        """The text that was sealed for this place; raises CannotUnseal."""
        prefix, _, data = sealed.rpartition(":")
        if prefix != f"{FORMAT}:{self.key_id}":
            raise CannotUnseal(
                f"{place} was not sealed with the present master key ({self.key_id})",
                remedy="set SLUICE_MASTER_KEY to the key it was sealed with, or write the secret again",
            )
        try:
            decoded = base64.urlsafe_b64decode(data)
            text = self._cipher.decrypt(decoded[:_NONCE_BYTES], decoded[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise CannotUnseal(
                f"{place} was changed in the database and cannot be opened", remedy="write the secret again"
            ) from None
        return text.decode()

    def fingerprint(self, text: str) -> str:
        """Tells whether two secrets are equal, and nothing else."""
        return fingerprint(text, self._fingerprint_key)

    def lookup(self, api_key: str) -> str:
        """What an API key is found by; no two keys share it, and the key cannot be had back from it."""
        return hmac.new(self._lookup_key, api_key.encode(), hashlib.sha256).hexdigest()

    def validation_token(self, rule: UUID) -> str:
        """What gateways prove themselves with when they ask about calls of a rule."""
        return hmac.new(self._validation_key, rule.bytes, hashlib.sha256).hexdigest()

    def uses_token(self, gateway: UUID) -> str:
        """What a gateway proves itself with when it tells of uses of keys."""
        return hmac.new(self._uses_key, gateway.bytes, hashlib.sha256).hexdigest()

    def audit_digest(self, content: str) -> str:
        """What vouches for an audit row; nobody makes one without the master key."""
        digest = hmac.new(self._audit_key, content.encode(), hashlib.sha256).hexdigest()
        return f"{self.key_id}:{digest}"


def _derive(master_key: bytes, purpose: str) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"sluice {purpose}".encode())
    return kdf.derive(master_key)
