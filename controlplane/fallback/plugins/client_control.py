"""client-control: how large a request's body may be."""

from typing import ClassVar

from controlplane.fallback.runtime.context import BodyUnavailable, Context, Reply
from controlplane.fallback.runtime.plugin import Outcome, Plugin, Schema


class ClientControl(Plugin):
    """A body that says that it is too large is refused at once, any other when it turns out to be."""

    name = "client-control"
    priority = 22000
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {"max_body_size": {"type": "integer", "minimum": 0}},
    }

    def rewrite(self, context: Context) -> Outcome:
        largest = self.conf.get("max_body_size", 0)
        if not largest:
            return None
        length = context.headers.get("content-length")
        if length is None:
            return self._read(context, largest)
        return Reply(413) if int(length) > largest else None

    async def _read(self, context: Context, largest: int) -> Reply | None:
        """Find out how large a body is that does not say so."""
        try:
            await context.read_body(largest)
        except BodyUnavailable:
            return Reply(413)
        return None
