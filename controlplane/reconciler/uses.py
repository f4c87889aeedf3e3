"""When keys were last used: asked of a gateway that knows it, and kept where keys are shown."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import structlog

from controlplane.core.abilities import Abilities
from controlplane.core.admission import key_of_consumer
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.reconciler.passes import GatewayPass

log = structlog.get_logger(__name__)


class UseWatch:
    """Asks the gateway of one loop, and remembers what it has told before."""

    def __init__(self, work: GatewayPass) -> None:
        self._work = work
        self._told: dict[UUID, datetime] = {}

    async def look(self) -> None:
        """Keep what is new. Raises StoreUnavailable; a gateway that does not tell is no trouble."""
        if not Abilities.of(self._work.plugins or ()).token_budget:
            return  # a stock APISIX does not tell it
        try:
            uses = _by_key(await self._work.gateway.last_uses())
        except (GatewayUnavailable, GatewayRefused) as error:
            log.debug("last_uses_not_told", gateway=self._work.record.name, reason=str(error))
            return
        new = {key: moment for key, moment in uses.items() if self._told.get(key) != moment}
        if new:
            await self._work.store.note_uses(new)
            self._told = uses


def _by_key(uses: Mapping[str, float]) -> dict[UUID, datetime]:
    found = {key_of_consumer(name): moment for name, moment in uses.items()}
    return {key: datetime.fromtimestamp(moment, UTC) for key, moment in found.items() if key is not None}
