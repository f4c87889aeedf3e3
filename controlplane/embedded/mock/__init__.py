"""A mock LLM provider: speaks OpenAI and Anthropic, and does what a test asks of it.

Run it with `python -m controlplane.embedded.mock`, or inside a test:

    async with MockProvider.start() as mock:
        client = AsyncOpenAI(base_url=f"{mock.base_url}/v1", api_key="any")
"""

from controlplane.embedded.mock.controls import Controls
from controlplane.embedded.mock.journal import Counters, Disconnect, Seen
from controlplane.embedded.mock.provider import MockProvider

__all__ = ["Controls", "Counters", "Disconnect", "MockProvider", "Seen"]
