"""The plan that was shown last, until somebody agrees to it: what is applied then need not be made twice."""

import asyncio
import hashlib

from controlplane.api.bodies import AnyRequest
from controlplane.api.known import Name
from controlplane.api.planned_documents import PlannedDocument
from controlplane.api.without_secrets import WithoutSecrets
from controlplane.core.access import Principal
from controlplane.reconciler.planned import Planned, PlanOptions

FORGOTTEN_AFTER_S = 600.0

_Call = tuple[str, bytes, PlanOptions, str]


class PlansInHand:
    """The last of them, in this replica: one at most, for a document may be large.

    It is held without its secrets: what opens them is made of the body that its caller sends again.
    """

    def __init__(self) -> None:
        self._kept: tuple[_Call, WithoutSecrets, Planned, Name] | None = None
        self._forgetting: asyncio.TimerHandle | None = None

    def keep(self, caller: Principal, body: bytes, fingerprint: str, made: PlannedDocument) -> None:
        """Hold a plan that changes something for its caller, who asked with this body."""
        plan = made.plan
        if plan.refusals or not plan.wanted.changes or caller.reach is not None:
            return
        self._forget()
        key = _key(body)
        call = _call(caller, key, plan.options, fingerprint)
        self._kept = (call, WithoutSecrets.of(made.document, key), plan.to_be_agreed_to(), made.name)
        self._forgetting = asyncio.get_running_loop().call_later(FORGOTTEN_AFTER_S, self._forget)

    def take(
        self, caller: Principal, body: bytes, options: PlanOptions, fingerprint: str
    ) -> PlannedDocument | None:
        """The plan that its caller agrees to with the same body; it is not held any longer."""
        key = _key(body)
        if self._kept is None or self._kept[0] != _call(caller, key, options, fingerprint):
            return None
        _, held, plan, name = self._kept
        self._forget()
        return PlannedDocument(held.opened(key), plan, name)

    def _forget(self) -> None:
        self._kept = None
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None


def _key(body: bytes) -> bytes:
    """What only somebody with this body has."""
    return hashlib.sha256(body).digest()


def _call(caller: Principal, key: bytes, options: PlanOptions, fingerprint: str) -> _Call:
    return f"{caller.account or caller.name}", hashlib.sha256(key).digest(), options, fingerprint


def in_hand(request: AnyRequest) -> PlansInHand:
    found: PlansInHand = request.app.state.in_hand
    return found
