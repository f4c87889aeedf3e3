"""`python -m controlplane.embedded.mock`: serve until SIGTERM or SIGINT."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import uvloop

from controlplane.embedded.mock.provider import MockProvider
from controlplane.errors import SluiceError
from controlplane.settings import Settings


def main(argv: Sequence[str]) -> int:
    """Serve the mock provider; the exit code says whether it could start."""
    try:
        settings = Settings.from_env(os.environ)
        parser = argparse.ArgumentParser(prog="mock", description="A mock OpenAI and Anthropic provider.")
        parser.add_argument("--host", default=settings.host)
        parser.add_argument("--port", type=int, default=settings.mock_port)
        options = parser.parse_args(argv)
        uvloop.run(_serve(options.host, options.port))
    except SluiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with MockProvider.start(host=host, port=port) as mock:
        sys.stdout.write(f"mock provider on {mock.base_url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
