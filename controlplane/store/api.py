"""What the REST API asks of the store."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from controlplane.core.access import Reach
from controlplane.core.desired import DesiredState, Queue
from controlplane.core.forwarding import Forwarding
from controlplane.core.objects import ObjectKey
from controlplane.core.selection import Site
from controlplane.core.spec import Document
from controlplane.store.accounts import Accounts
from controlplane.store.audit import Audit
from controlplane.store.history import History
from controlplane.store.records import (
    Applied,
    Author,
    GatewayStatus,
    HeldObject,
    Kind,
    ObjectStatus,
    Page,
    Query,
    Spec,
    Stored,
    Written,
)
from controlplane.store.rolling_back import Earlier


class DeclaredStore(Protocol):
    """Everything declared: each write is one transaction with its revision and its audit row.

    Raises NotFound, Conflict (name taken, or still referred to), PreconditionFailed (`if_version` is
    no longer the version), InvalidSpec (references that lead nowhere, limits that nothing enforces) and
    StoreUnavailable. An object is addressed by its name or by its UUID.
    """

    @property
    def accounts(self) -> Accounts:
        """Who may use the control plane."""

    @property
    def history(self) -> History:
        """What was written before."""

    @property
    def audit(self) -> Audit:
        """Who did what."""

    def within(self, reach: Reach) -> "DeclaredStore":
        """The same store for somebody of one tenant: whatever lies beyond is as if it were not there."""

    def validation_token(self, rule: UUID) -> str:
        """What gateways prove themselves with when they ask about calls of a rule."""

    def uses_token(self, gateway: UUID) -> str:
        """What a gateway proves itself with when it tells of uses of keys."""

    async def note_uses(self, gateway: UUID | None, uses: Mapping[UUID, datetime]) -> None:
        """Keep when keys were used, as a gateway tells it; a key that is gone is left out.

        Raises NotFound where the gateway is not asked to tell. Without one they were told with the finished
        calls of a rule.
        """

    async def forwarding(self, rule: UUID) -> Forwarding:
        """A rule with what its tenant requires. Raises NotFound."""

    async def ping(self) -> None:
        """Raises StoreUnavailable when Postgres does not answer."""

    async def page(self, kind: Kind, query: Query) -> Page[Any]:  # Any: the spec of the kind
        """One page, in the order of names."""

    async def get(self, kind: Kind, ref: str) -> Stored[Any]:  # Any: the spec of the kind
        """One object."""

    async def create(self, kind: Kind, spec: Spec, author: Author) -> Written[Any]:
        """A new object."""

    async def replace(
        self, kind: Kind, ref: str, spec: Spec, author: Author, if_version: int | None = None
    ) -> Written[Any]:
        """Another declaration for an object; a secret that is `***` or left out stays as it was."""

    async def patch(
        self,
        kind: Kind,
        ref: str,
        patch: Mapping[str, Any],  # Any: a JSON merge patch
        author: Author,
        if_version: int | None = None,
    ) -> Written[Any]:
        """A merge patch: null removes, lists are replaced whole."""

    async def delete(self, kind: Kind, ref: str, author: Author, if_version: int | None = None) -> int:
        """Remove an object; the revision."""

    async def rotate(
        self, ref: str, overlap_s: int, author: Author, if_version: int | None = None
    ) -> Written[Any]:
        """Another text for a key; the one before works for so long. Raises Conflict for a disabled key."""

    async def apply(
        self,
        document: Document,
        author: Author,
        *,
        dry_run: bool = False,
        deletes: Sequence[tuple[Kind, str]] = (),
        base: int | None = None,
        numbered: Callable[[int], None] | None = None,
    ) -> Applied:
        """Make a whole document so, in one revision: create and update what differs, remove `deletes`.

        `numbered` is told the revision just before it is committed, and so before anybody can see it.
        Raises PreconditionFailed when `base` is no longer the newest revision.
        """

    async def sites(self) -> Sequence[Site]:
        """What every enabled gateway serves and can do; everything while it has not been asked yet."""

    async def around(self, queue: Queue) -> DesiredState:
        """The queue, and of what is declared that which its limits meet."""

    async def export(self, source: str | None) -> tuple[int, Sequence[Mapping[str, Any]]]:  # Any: JSON
        """The newest revision, and a document for each source, or for that one."""

    async def earlier(self, number: int) -> Earlier:
        """What an earlier revision had that is different now."""

    async def roll_back(self, number: int, author: Author, *, base: int) -> Applied:
        """Make everything but gateways as it was at that revision, in one new revision.

        Raises PreconditionFailed when `base` is no longer the newest revision.
        """

    async def gateway_status(self, gateway: UUID) -> GatewayStatus:
        """How a gateway stands."""

    async def heal(self, gateways: Sequence[str] | None) -> None:
        """Have the drift of these gateways undone, by name, or of all of them."""

    async def adopt(self, gateway: str, keys: Collection[ObjectKey], author: Author) -> None:
        """Let objects without our label be taken over once they are declared; audited."""

    async def held_objects(
        self, gateway: UUID, after: tuple[str, str] | None, limit: int
    ) -> Sequence[HeldObject]:
        """Our objects on a gateway, in the order of kind and id, after one of them."""

    async def object_status(self, declared_by: str) -> Sequence[ObjectStatus]:
        """The gateway objects that serve `queue NAME`, `key NAME` or `provider NAME`."""

    async def reveal(self, kind: Kind, ref: str, author: Author) -> Mapping[str, str]:
        """The plain text of an object's secrets, by field; audited."""
