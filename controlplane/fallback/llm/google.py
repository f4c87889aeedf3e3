"""Members at Google: the access tokens of their service accounts, kept for as long as they are good."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from controlplane.clock import Clock
from controlplane.fallback.secrets.asking import Asker, SecretUnavailable
from controlplane.fallback.secrets.google import access_token

_MOST_KEPT = 4096
_NEEDED = ("client_email", "private_key")


class GoogleAccount(NamedTuple):
    """`auth.gcp` of a member. Without a text the account is the one of the gateway's own environment."""

    text: str | None
    early_s: float
    most_s: float | None


class _Kept:
    """A token, and whether somebody is asking for it."""

    __slots__ = ("asking", "token", "until")

    def __init__(self) -> None:
        self.asking = asyncio.Lock()
        self.token = ""
        self.until = 0.0


class GoogleTokens:
    """Asks for tokens, once for all callers of an account."""

    def __init__(self, asker: Asker, clock: Clock, usual_account: str | None) -> None:
        self._asker = asker
        self._clock = clock
        self._usual = usual_account
        self._kept: OrderedDict[GoogleAccount, _Kept] = OrderedDict()

    async def of(self, account: GoogleAccount) -> str:
        """A token that is good; SecretUnavailable where none can be had."""
        kept = self._kept.get(account)
        if kept is None:
            kept = self._kept[account] = _Kept()
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        if self._clock.monotonic() < kept.until:
            return kept.token
        async with kept.asking:
            if self._clock.monotonic() >= kept.until:
                await self._renew(account, kept)
        return kept.token

    async def _renew(self, account: GoogleAccount, kept: _Kept) -> None:
        told = service_account(account.text or self._usual or "")
        asked = self._clock.monotonic()
        kept.token, lasts_s = await access_token(told, self._asker, self._clock)
        if lasts_s > account.early_s:
            lasts_s -= account.early_s
        kept.until = asked + (lasts_s if account.most_s is None else min(lasts_s, account.most_s))


def service_account(text: str) -> Mapping[str, Any]:
    """What the JSON of a service account says; SecretUnavailable if it is none."""
    try:
        account = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise SecretUnavailable("invalid gcp service account json") from None
    if not isinstance(account, dict) or not all(isinstance(account.get(name), str) for name in _NEEDED):
        raise SecretUnavailable(f"the gcp service account json needs {' and '.join(_NEEDED)}")
    return account
