"""The loop over one gateway: leads, passes, waits for news or the timer, and passes again."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from controlplane.core.desired import DesiredState
from controlplane.errors import StoreUnavailable
from controlplane.reconciler.leadership import Leadership
from controlplane.reconciler.passes import GatewayPass
from controlplane.reconciler.status import LeadershipLost, State
from controlplane.reconciler.uses import UseWatch
from controlplane.store.reconciling import PassReport

_STANDBY_S = 2.0
_FIRST_RETRY_S = 0.5

log = structlog.get_logger(__name__)


class GatewayLoop:
    """Keeps one gateway converged for as long as this replica leads it."""

    def __init__(
        self,
        work: GatewayPass,
        leadership: Leadership,
        desired: Callable[[], DesiredState | None],
        ended: Callable[[], None],
        *,
        interval_s: float,
    ) -> None:
        self._work = work
        self._leadership = leadership
        self._desired = desired
        self._ended = ended
        self._interval_s = interval_s
        self._news = asyncio.Event()
        self._uses = UseWatch(work)
        self._failures = 0
        self._impatient = False

    @property
    def name(self) -> str:
        return self._work.record.name

    def wake(self) -> None:
        """Something was declared: pass now rather than at the timer."""
        self._news.set()

    def try_again(self) -> None:
        """Somebody wants it done: a pass that failed need not wait for its turn."""
        if self._failures:
            self._impatient = True
            self._news.set()

    async def run(self) -> None:
        """Run until cancelled."""
        gateway = self._work.record.id
        try:
            while True:
                try:
                    if await self._leadership.try_lead(gateway):
                        await self._work.recall()
                        await self._lead()
                except (StoreUnavailable, LeadershipLost) as error:
                    log.warning("leadership_interrupted", gateway=self.name, reason=str(error))
                await asyncio.sleep(_STANDBY_S)
        finally:
            with contextlib.suppress(Exception):
                await self._leadership.resign(gateway)
            await self._work.gateway.close()

    async def _lead(self) -> None:
        look = True
        while self._leadership.leads(self._work.record.id):
            self._news.clear()
            desired = self._desired()
            if desired is not None:
                report = await self._work.run(desired, look=look)
                self._ended()
                if look:
                    await self._uses.look()
                self._note(report, look=look)
            news = await self._news_within(self._pause_s(desired))
            # Nothing new was declared where somebody is only impatient: what failed is looked at again.
            look, self._impatient = self._impatient or not news, False
            if look:
                await self._leadership.confirm()
        raise LeadershipLost(f"this replica leads {self.name} no longer")

    def _note(self, report: PassReport, *, look: bool) -> None:
        calm = report.state in (State.CONVERGED, State.DRIFTED)
        self._failures = 0 if calm else self._failures + 1
        write = log.debug if calm else log.warning
        write(
            "pass",
            gateway=self.name,
            state=report.state,
            revision=report.revision,
            looked=look,
            error=report.error,
        )

    def _pause_s(self, desired: DesiredState | None) -> float:
        """The timer; shorter where a key ends before, and at first when something failed."""
        if self._failures:
            return float(min(self._interval_s, _FIRST_RETRY_S * 2 ** (self._failures - 1)))
        ends_in_s = self._work.ends_in_s(desired) if desired is not None else None
        return self._interval_s if ends_in_s is None else min(self._interval_s, ends_in_s)

    async def _news_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True
