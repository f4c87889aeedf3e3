"""Which protocol a client's request is in."""

from collections.abc import Mapping
from typing import Any

from controlplane.fallback.llm.chat import Chat
from controlplane.fallback.llm.embeddings import Embeddings
from controlplane.fallback.llm.messages import Messages
from controlplane.fallback.llm.passthrough import Passthrough
from controlplane.fallback.llm.protocols import LlmProtocol
from controlplane.fallback.llm.responses import Responses

# The order matters: what an address tells comes before what only a body tells.
PROTOCOLS: tuple[LlmProtocol, ...] = (Messages(), Responses(), Chat(), Embeddings(), Passthrough())
BY_NAME: Mapping[str, LlmProtocol] = {protocol.name: protocol for protocol in PROTOCOLS}


def detect(body: Any, path: str) -> LlmProtocol | None:  # any JSON value
    """The protocol of a request, or None where the body is no object or an empty one."""
    if not isinstance(body, dict):
        return None
    for protocol in PROTOCOLS:
        if protocol.matches(body, path):
            return protocol
    return None
