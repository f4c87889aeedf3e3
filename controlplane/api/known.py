"""Declarations that were planned here to nothing, or applied: asked about again, they need not be sent again.

Whoever sends a declaration may name it by a digest of their own choice: `ctl` takes one of its files and of
what their references stand for. While nothing else is declared, the digest goes on meaning the same.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass, field

from litestar import Response, post

from controlplane.api.access import needs, principal_of
from controlplane.api.bodies import AnyRequest, read_json
from controlplane.api.plan_views import plan_view
from controlplane.api.planning import options_of, planner_of
from controlplane.api.views import reply
from controlplane.core.access import Permission, Principal
from controlplane.errors import InvalidRequest, NotFound, Problem
from controlplane.reconciler.planned import Planned, PlanOptions
from controlplane.store.records import Applied

DIGEST_HEADER = "sluice-digest"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST = 200

_Key = tuple[str, str, PlanOptions]


@dataclass(frozen=True, slots=True)
class Known:
    """A declaration that changed nothing."""

    revision: int
    """Which it was compared with."""
    source: str
    document: str
    """Its keyed digest, as plans show it."""


@dataclass(frozen=True, slots=True)
class Name:
    """What a declaration is called: by its caller, and in plans."""

    digest: str
    document: str

    @property
    def usable(self) -> bool:
        return _DIGEST.fullmatch(self.digest) is not None


@dataclass
class KnownDeclarations:
    """The last of them, in this replica. Each caller is believed about their own digests alone."""

    _kept: OrderedDict[_Key, Known] = field(default_factory=OrderedDict)

    def keep(self, caller: Principal, name: Name, made: Planned) -> None:
        """Remember a plan that had nothing to change."""
        if not made.wanted.changes:
            self._keep(caller, name, made, made.revision)

    def keep_applied(self, caller: Principal, name: Name, made: Planned, applied: Applied) -> None:
        """Remember what a plan was carried out for: as of that revision there is nothing to change.

        Not where keys or gateways were declared, which may come out otherwise than they are written.
        """
        if not (applied.keys or made.wanted.gateways):
            self._keep(caller, name, made, applied.revision)

    def _keep(self, caller: Principal, name: Name, made: Planned, revision: int) -> None:
        calm = not (made.refusals or made.wanted.protected)
        if calm and caller.reach is None and name.usable:
            known = Known(revision, made.source, name.document)
            self._kept[_key(caller, name.digest, made.options)] = known
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)

    def find(self, caller: Principal, digest: str, options: PlanOptions) -> Known | None:
        return self._kept.get(_key(caller, digest, options))


def _key(caller: Principal, digest: str, options: PlanOptions) -> _Key:
    return f"{caller.account or caller.name}", digest, options


@post("/plan/known", name="plan_known", status_code=200, opt=needs(Permission.READ))
async def plan_known(request: AnyRequest) -> Response[bytes]:
    """The plan of a declaration that changed nothing when this caller sent it, named by its digest."""
    options = options_of(request)
    values = await read_json(request)
    digest = values.get("digest")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or len(values) > 1:
        problem = Problem("digest", "must be 64 hexadecimal digits", "write that of a SHA-256")
        raise InvalidRequest("the declaration cannot be found", problems=[problem])
    known = known_of(request).find(principal_of(request), digest, options)
    made = await planner_of(request).again(known.revision, known.source, options) if known else None
    if known is None or made is None:
        raise NotFound("this declaration is not known here", remedy="send the whole of it to POST /plan")
    return reply(plan_view(made, known.document))


def known_of(request: AnyRequest) -> KnownDeclarations:
    found: KnownDeclarations = request.app.state.known
    return found
