"""News of passes that ended, for whoever waits for a gateway and would rather not ask all the time."""

import asyncio
import secrets


class EndedPasses:
    """Counts the passes over gateways in this replica. A mark says up to which of them somebody has heard."""

    def __init__(self) -> None:
        self._replica = secrets.token_hex(4)
        self._number = 0
        self._next = asyncio.Event()

    @property
    def mark(self) -> str:
        return f"{self._replica}.{self._number}"

    def note(self) -> None:
        """Another pass has ended."""
        self._number += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, mark: str, within_s: float) -> str:
        """The newest mark, as soon as a pass ends after this one; at the latest after so long.

        After the mark of another replica it is the next pass here that is waited for.
        """
        replica, _, number = mark.partition(".")
        if replica != self._replica or number == str(self._number):
            try:
                async with asyncio.timeout(within_s):
                    await self._next.wait()
            except TimeoutError:
                pass
        return self.mark
