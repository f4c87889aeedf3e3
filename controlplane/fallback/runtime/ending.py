"""The end of a request: the log phase, once, whatever became of the request."""

import structlog

from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.plan import Phases


class Ending:
    """Collects what has to run when the request is over."""

    __slots__ = ("_context", "_over", "phases")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._over = False
        self.phases: list[Phases] = []

    def run(self) -> None:
        """Run the log phase, unless it has run."""
        if self._over:
            return
        self._over = True
        for one in self.phases:
            for step in one.log:
                try:
                    step(self._context)
                except Exception as error:  # noqa: BLE001  one plugin's failure must not keep another's slot
                    _report(error)


def _report(error: Exception) -> None:
    structlog.get_logger("gateway.traffic").error("log phase failed", kind=type(error).__name__)
