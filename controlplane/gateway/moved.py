"""Whether a gateway that is written at once still holds what a decision was made on."""

import hashlib
import json
from collections.abc import Iterable, Mapping

import httpx
import orjson

from controlplane.core.diff import LiveObject
from controlplane.core.objects import Body, ObjectKey
from controlplane.errors import GatewayRefused
from controlplane.gateway.driver import Write
from controlplane.gateway.sections import is_done


class Seen:
    """The objects as they were when the gateway was last read, as marks that say no more than that."""

    def __init__(self) -> None:
        self._marks: Mapping[ObjectKey, bytes] = {}

    def keep(self, live: Mapping[ObjectKey, LiveObject]) -> None:
        """This is what is decided on."""
        self._marks = {key: _mark(found.body) for key, found in live.items()}

    def check(self, writes: Iterable[Write], live: Mapping[ObjectKey, LiveObject]) -> None:
        """Raises GatewayRefused if one of these objects is neither as it was nor as it is to be."""
        for write in writes:
            found = live.get(write.key)
            mark = None if found is None else _mark(found.body)
            if mark != self._marks.get(write.key) and not is_done(write, live):
                raise GatewayRefused(
                    f"{write.key} was changed on the gateway while it was about to be written",
                    status=httpx.codes.CONFLICT,
                    remedy="the next pass looks at it again",
                )


def _mark(body: Body) -> bytes:
    try:
        text = orjson.dumps(dict(body), option=orjson.OPT_SORT_KEYS)
    except TypeError:  # half of a surrogate pair, or what YAML has beyond JSON
        text = json.dumps(dict(body), sort_keys=True, default=str).encode()
    return hashlib.blake2b(text, digest_size=16).digest()
