"""The last line before anything is shown: known secrets are masked wherever they stand."""

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from controlplane.core.secrets import MASK, is_gateway_reference

if TYPE_CHECKING:
    from controlplane.core.spec import Document

SHORTEST = 6
"""Shorter texts are no secrets, and would mask half of every word."""


def secrets_of(document: "Document") -> Iterator[str]:
    """The plain text of every secret that a document declares."""
    held = [secret for each in document.gateways for secret in (each.admin_key, each.redis_url)]
    held += [provider.api_key for provider in document.providers]
    held += [rule.api_key for rule in document.rules]
    held += [key.key for key in document.keys]
    for value in held:
        text = value.get_secret_value() if value is not None else MASK
        if text != MASK and not is_gateway_reference(text):
            yield text


def redacted(value: Any, secrets: Collection[str]) -> Any:  # Any: JSON
    """The value with every occurrence of a secret masked, in names and in texts."""
    texts = sorted({text for text in secrets if len(text) >= SHORTEST}, key=len, reverse=True)
    if not texts:
        return value
    found = re.compile("|".join(map(re.escape, texts)))
    return _redacted(value, found)


def _redacted(value: Any, found: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return found.sub(MASK, value)
    if isinstance(value, dict):
        return {_redacted(name, found): _redacted(item, found) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item, found) for item in value]
    return value
