"""The reconciler of one replica: a loop for each gateway, woken by Postgres, the API and a timer."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import structlog

from controlplane.core.desired import DesiredState
from controlplane.errors import StoreUnavailable
from controlplane.reconciler.ended import EndedPasses
from controlplane.reconciler.leadership import Leadership
from controlplane.reconciler.loop import GatewayLoop
from controlplane.reconciler.passes import GatewayPass
from controlplane.reconciler.status import State
from controlplane.store.database import TROUBLES
from controlplane.store.drift import ORDERS
from controlplane.store.reconciling import GatewayRecord, PassReport, ReconcilingStore
from controlplane.store.writes import CHANNEL

_RECONNECT_S = 1.0

log = structlog.get_logger(__name__)

MakePass = Callable[[GatewayRecord, Callable[[], bool]], GatewayPass]


class Reconciler:
    """Runs beside the API in every replica; only the leader of a gateway writes to it."""

    def __init__(
        self,
        store: ReconcilingStore,
        connect: Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]],
        make_pass: MakePass,
        *,
        interval_s: float,
    ) -> None:
        self._store = store
        self._connect = connect
        self._make_pass = make_pass
        self._interval_s = interval_s
        self.ended = EndedPasses()
        self._leadership = Leadership(connect)
        self._desired: DesiredState | None = None
        self._news = asyncio.Event()
        self._asked = False
        """Whether somebody wants it done now, be it declared already."""
        self._loops: dict[UUID, tuple[int, GatewayLoop, asyncio.Task[None]]] = {}

    def wake(self) -> None:
        """Something was declared through this replica, or the same once more."""
        self._asked = True
        self._news.set()

    async def run(self) -> None:
        """Run until cancelled."""
        listener = asyncio.create_task(self._listen(), name="reconciler-listener")
        try:
            while True:
                self._news.clear()
                try:
                    await self._refresh()
                except StoreUnavailable as error:
                    log.warning("store_unavailable", reason=str(error))
                    await asyncio.sleep(_RECONNECT_S)
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._interval_s):
                        await self._news.wait()
        finally:
            tasks = [listener, *(task for _, _, task in self._loops.values())]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._leadership.close()

    async def _refresh(self) -> None:
        """Take in what was declared, and give every gateway its loop."""
        before = self._desired
        desired = await self._store.desired()
        self._desired = desired
        await self._tend(await self._store.gateways())
        news = before is None or before.revision != desired.revision
        asked, self._asked = self._asked, False
        for _, loop, _ in self._loops.values():
            if news:
                loop.wake()
            elif asked:
                loop.try_again()

    async def _tend(self, records: Sequence[GatewayRecord]) -> None:
        for record in records:
            if record.trouble is not None:
                await self._tell(record)
        wanted = {record.id: record for record in records if record.trouble is None}
        for gateway, (version, _, task) in list(self._loops.items()):
            gone = gateway not in wanted or wanted[gateway].version != version
            if gone or task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                del self._loops[gateway]
        for record in wanted.values():
            if record.id not in self._loops:
                self._start(record)

    async def _tell(self, record: GatewayRecord) -> None:
        """A gateway that cannot even be asked says so in its status."""
        now = datetime.now(UTC)
        report = PassReport(record.id, now, "", 0, State.DEGRADED.value, None, record.trouble)
        await self._store.record(report, [])

    def _start(self, record: GatewayRecord) -> None:
        work = self._make_pass(record, lambda: self._leadership.leads(record.id))
        news = (lambda: self._desired, self.ended.note)
        loop = GatewayLoop(work, self._leadership, *news, interval_s=self._interval_s)
        task = asyncio.create_task(loop.run(), name=f"gateway-{record.name}")
        task.add_done_callback(_report_crash)
        self._loops[record.id] = (record.version, loop, task)

    async def _listen(self) -> None:
        """Wake up whenever any replica commits a revision."""
        while True:
            try:
                await self._hear()
            except (*TROUBLES, asyncpg.PostgresError) as error:
                log.warning("listener_interrupted", reason=str(error))
            await asyncio.sleep(_RECONNECT_S)

    async def _hear(self) -> None:
        """Listen until the connection ends."""
        lost = asyncio.Event()
        connection = await self._connect()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._heard)
            self._news.set()  # what was committed while nobody listened
            await lost.wait()
        finally:
            connection.terminate()

    def _heard(self, *news: object) -> None:
        """Another revision, or orders for the loops although nothing is declared anew."""
        self._news.set()
        if news[-1] == ORDERS:
            for _, loop, _ in self._loops.values():
                loop.wake()


def _report_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("gateway_loop_crashed", loop=task.get_name(), error=repr(error))
