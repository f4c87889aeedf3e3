"""`python -m controlplane.fallback`: serve until SIGTERM or SIGINT, then let open streams finish."""

import asyncio
import gc
import os
import signal
import sys

import uvloop

from controlplane.errors import SluiceError
from controlplane.fallback.gateway import Gateway, GatewayConfig
from controlplane.settings import Settings


def main() -> int:
    """Run the gateway; the exit code says whether it could start."""
    try:
        config = GatewayConfig.from_settings(Settings.from_env(os.environ))
        uvloop.run(_serve(config))
    except SluiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(config: GatewayConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Gateway.start(config, environ=os.environ) as gateway:
        # What is here now stays; looking through it again and again for garbage would cost every call.
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        sys.stdout.write(f"gateway on {gateway.url}, its Admin API on {gateway.admin_url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
