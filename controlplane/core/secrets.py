"""Secrets as values that can be planned, compared and printed without being known.

The core never holds a secret's text. It holds a handle: where the shell finds the text, and a keyed
fingerprint that tells two texts apart. The shell puts the text in at the moment of writing.
"""

import hashlib
import hmac
from dataclasses import dataclass

MASK = "***"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A secret that Sluice keeps sealed; `name` is its place in the store: `provider/<id>/api_key`."""

    name: str
    fingerprint: str
    prefix: str = ""
    """Text put before the secret where it is used, such as `Bearer `."""

    def with_prefix(self, prefix: str) -> "SecretRef":
        return SecretRef(self.name, self.fingerprint, prefix)

    def __str__(self) -> str:
        return self.prefix + MASK

    def __repr__(self) -> str:
        return f"SecretRef({self.name!r})"


@dataclass(frozen=True, slots=True)
class GatewaySecret:
    """A reference such as `$env://NAME` that the gateway itself resolves; no secret, so it is shown."""

    reference: str
    prefix: str = ""

    def with_prefix(self, prefix: str) -> "GatewaySecret":
        return GatewaySecret(self.reference, prefix)

    def __str__(self) -> str:
        return self.prefix + self.reference


Secret = SecretRef | GatewaySecret


def is_gateway_reference(text: str) -> bool:
    return text.startswith(("$env://", "$ENV://", "$secret://"))


def fingerprint(text: str, key: bytes) -> str:
    """A keyed digest that says whether two secrets are equal and nothing else."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]
