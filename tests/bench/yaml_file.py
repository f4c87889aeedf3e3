"""How long the driver of an apisix.yaml takes with 1,000 queues: `make bench-yaml`."""

import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from controlplane.core.objects import resolve
from controlplane.gateway.driver import Write
from controlplane.gateway.yaml_file import ApisixYaml, FilePlace
from tests.bench.plan import SECRETS, document
from tests.fixtures.specs import compiled

QUEUES = 1000
THEIRS = "upstreams:\n- id: 1\n  nodes: {127.0.0.1:1: 1}\n  port: ${{PORT}}\n#END\n"


async def main() -> None:
    objects = [(item.key, resolve(item.body, SECRETS)) for item in compiled(document(QUEUES)).objects]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "apisix.yaml")
        path.write_text(THEIRS)
        driver = ApisixYaml(FilePlace(Path(folder), path.name), ())
        await driver.read()
        await _timed("first write", driver.write_all([Write(key, body) for key, body in objects]))
        await _timed("read", driver.read())
        key, body = objects[-1]
        await _timed("one change", driver.write_all([Write(key, {**body, "desc": "changed"})]))
        await _timed("look", driver.stamp())
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(f"{len(objects)} objects | {path.stat().st_size / 1e6:.1f} MB | memory {megabytes:.0f} MB")


async def _timed(name: str, work: Awaitable[object]) -> None:
    began = time.perf_counter()
    await work
    print(f"{name} | {(time.perf_counter() - began) * 1000:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
