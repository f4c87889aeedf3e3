"""Where gateways tell when keys were used, and which of them can be asked to."""

import hmac
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from litestar import Router, post
from litestar.params import FromPath

from controlplane.api.bodies import AnyRequest, parse, read_bytes
from controlplane.api.service import Service
from controlplane.clock import Clock
from controlplane.core.admission import key_of_consumer
from controlplane.core.gateways import GatewaySpec
from controlplane.errors import InvalidRequest, InvalidSpec, Problem, Unauthorized
from controlplane.settings import Settings
from controlplane.store.records import Kind

_LARGEST_NEWS = 512 * 1024


@post("/internal/gateways/{gateway:uuid}/uses", status_code=204, name="uses_of_keys")
async def tell_uses(request: AnyRequest, gateway: FromPath[UUID]) -> None:
    """Keep the newest moment of each key in a batch."""
    service: Service = request.app.state.service
    sent = request.headers.get("authorization", "").removeprefix("Bearer ")
    token = service.store.uses_token(gateway)
    if not hmac.compare_digest(sent.encode(errors="surrogateescape"), token.encode()):
        raise Unauthorized("this address is for gateways", remedy="read `last_used_at` of the key")
    clock: Clock = request.app.state.clock
    uses = newest_uses(parse(await read_bytes(request, _LARGEST_NEWS)), clock.now())
    if uses:
        await service.store.note_uses(gateway, uses)


def newest_uses(entries: Any, now: float) -> dict[UUID, datetime]:  # Any: JSON
    """When each key was used last, as a gateway's entries have it. Raises InvalidRequest.

    What names no key or no moment says nothing; a gateway's clock that is ahead of ours counts as ours.
    """
    if not isinstance(entries, list):
        raise InvalidRequest("a batch must be a JSON list", remedy="look at the gateway's http-logger")
    newest: dict[UUID, datetime] = {}
    for entry in entries:
        for key, moment in use_in(entry, now).items():
            newest[key] = max(newest.get(key, moment), moment)
    return newest


def use_in(entry: object, now: float) -> dict[UUID, datetime]:
    """The key that an entry names, and when it was used; nothing where it names none."""
    if not isinstance(entry, dict):
        return {}
    key, moment = _key(entry.get("consumer")), _seconds(entry.get("at"))
    if key is None or moment is None:
        return {}
    return {key: datetime.fromtimestamp(min(moment, now), UTC)}


def _key(name: object) -> UUID | None:
    return key_of_consumer(name) if isinstance(name, str) else None


def _seconds(value: object) -> float | None:
    """A moment that a gateway wrote as a number, or as a text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


class AskedToTell:
    """Judges whether a gateway that is asked to tell of uses can find the service."""

    def __init__(self, settings: Settings) -> None:
        named = settings.validation_url or settings.public_url
        self._found_from_elsewhere = named is not None or not _is_here(settings.host)

    def judge_all(self, gateways: Iterable[GatewaySpec]) -> None:
        """Raises InvalidSpec with the gateways of a document that are asked what they cannot tell."""
        problems = [
            Problem(f"gateways.{gateway.name}.last_used", problem.message, problem.remedy)
            for gateway in gateways
            for problem in self._problems(gateway.last_used, gateway.admin_url)
        ]
        if problems:
            raise InvalidSpec("the document cannot be accepted", problems=problems)

    async def check(self, request: AnyRequest, ref: str, changes: Mapping[str, Any]) -> None:  # Any: JSON
        """Raises InvalidSpec where a patch of a gateway would ask what cannot be told."""
        if not changes.keys() & {"last_used", "admin_url", "kind"}:
            return
        service: Service = request.app.state.service
        spec: GatewaySpec = (await service.store.get(Kind.GATEWAY, ref)).spec
        before = {"last_used": spec.last_used, "admin_url": spec.admin_url}
        after = {**before, **{name: changes[name] for name in before if name in changes}}
        self.judge(after["last_used"] is True, after["admin_url"])

    def judge(self, last_used: bool, admin_url: object) -> None:
        """Raises InvalidSpec."""
        if problems := tuple(self._problems(last_used, admin_url)):
            raise InvalidSpec("this gateway cannot be accepted", problems=problems)

    def _problems(self, last_used: bool, admin_url: object) -> Iterator[Problem]:
        if not last_used or self._found_from_elsewhere:
            return
        if isinstance(admin_url, str) and _is_here(urlsplit(admin_url).hostname or ""):
            return
        message = "a gateway on another machine does not know where to tell when keys were used"
        remedy = "set SLUICE_VALIDATION_URL to where gateways reach the service"
        yield Problem("last_used", message, remedy)


def _is_here(host: str) -> bool:
    """Whether an address means one thing on each machine: that machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def uses_router() -> Router:
    return Router(path="/", route_handlers=[tell_uses])
