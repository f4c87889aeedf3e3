"""Functions that our own compiler puts on every route, and for which requests they surely do nothing.

Most requests are such, and Python sees that several times as fast as Lua is entered. A function is known by
its text, so that one with another text is simply run.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256

from controlplane.fallback.runtime.context import Context

Idle = Callable[[Context], bool]

_OWN_HEADERS = "x-sluice-"


def idle_for(text: str) -> Idle | None:
    """Says of a request that the function would leave it as it is; None where nobody can say."""
    return _KNOWN.get(sha256(text.encode()).hexdigest()[:32])


def _no_header_to_strip(context: Context) -> bool:
    """No header has a name of the gateway's own, or a spelling that a credential could hide behind."""
    return not context.headers.any_named(_OWN_HEADERS)


def _no_refusal(context: Context) -> bool:
    return context.status != 429


_KNOWN: Mapping[str, Idle] = {
    "b1e819087f539de33e11053c57c6cf44": _no_header_to_strip,  # strip_headers.lua
    "ebd0d4f2d71e3d5b6432fe921e05b9a3": _no_refusal,  # retry_after.lua
}
