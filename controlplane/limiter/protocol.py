"""What every limiter can do, whatever holds its counters."""

from collections.abc import Iterable, Mapping
from typing import Protocol, Self

from controlplane.limiter.limits import DEFAULT_LEASE_S, Limit
from controlplane.limiter.results import Granted, Outcome, Rejected, Usage


class Limiter(Protocol):
    """Takes every charge of a request at once, or none of them.

    reserve ──▶ Granted ──▶ settle   what was really used counts, the rest is given back
                        ├─▶ cancel   everything is given back
                        ├─▶ renew    held for another lease: for streams that last
                        └─▶ nothing  everything is given back when the lease ends
            └─▶ Rejected             nothing was taken anywhere
    """

    async def reserve(
        self,
        charges: Iterable[tuple[Limit, str, int]],
        *,
        lease: float = DEFAULT_LEASE_S,
        report: bool = False,
    ) -> Granted | Rejected:
        """Take every charge or none. With `report` the answer says how each counter stands now."""

    async def settle(self, granted: Granted, actual: Mapping[str, int]) -> Outcome:
        """Count what was used of each meter, give back the rest. A meter not named was used as reserved.

        May be repeated: only the first time counts. After the lease has ended it still counts what was used.
        """

    async def cancel(self, granted: Granted) -> Outcome:
        """Give everything back, as if it had never been reserved. May be repeated."""

    async def renew(self, granted: Granted) -> Outcome:
        """Hold it for another lease from now. LATE: the lease had ended, and nothing is held."""

    async def usage(self, limit: Limit, key: str = "") -> Usage:
        """How the counter of that key stands."""

    async def outstanding(self) -> int:
        """How many reservations are open."""

    def settle_soon(self, granted: Granted, actual: Mapping[str, int]) -> None:
        """`settle` for callers who cannot wait, such as a request that is being torn down."""

    def cancel_soon(self, granted: Granted) -> None:
        """`cancel` for callers who cannot wait."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def aclose(self) -> None:
        """Let go of connections. Reservations that are open end with their leases."""
