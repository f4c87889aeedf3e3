"""Redis behind sentinels: who is the master now is asked whenever a connection is made."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import hiredis

from controlplane.fallback.counters.redis_connection import RedisAddress, RedisConnection
from controlplane.fallback.counters.windows import CountersGone


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """A master by its name, the sentinels that know where it is, and how to speak to either.

    `member` has everything about the master but its host and port.
    """

    sentinels: tuple[RedisAddress, ...]
    name: str
    member: RedisAddress
    replica: bool = False


async def locate(address: SentinelAddress) -> RedisAddress:
    """Where the master (or a replica of it) is; the sentinels are asked one after the other."""
    reasons = []
    for sentinel in address.sentinels:
        try:
            found = await _ask(sentinel, address)
        except CountersGone as error:
            reasons.append(str(error))
        else:
            return replace(address.member, host=found[0], port=found[1])
    raise CountersGone(f"no sentinel knows {address.name}: {'; '.join(reasons)}")


async def _ask(sentinel: RedisAddress, address: SentinelAddress) -> tuple[str, int]:
    command = ("SENTINEL", "REPLICAS" if address.replica else "GET-MASTER-ADDR-BY-NAME", address.name)
    reply = await ask_once(sentinel, command)
    if address.replica:
        replicas = [_fields(one) for one in reply] if isinstance(reply, list) else []
        alive = [one for one in replicas if "down" not in one.get("flags", "")]
        if alive:
            return alive[0]["ip"], int(alive[0]["port"])
    elif isinstance(reply, list) and len(reply) == 2:
        return str(reply[0]), int(reply[1])
    raise CountersGone(f"{sentinel.host}:{sentinel.port} does not know it")


async def ask_once(address: RedisAddress, command: Sequence[str]) -> Any:  # any reply of Redis
    """One command over a connection of its own."""
    loop = asyncio.get_running_loop()
    where = f"{address.host}:{address.port}"
    connection = None
    try:
        async with asyncio.timeout(address.timeout_s):
            _, connection = await loop.create_connection(
                lambda: RedisConnection(address, loop), address.host, address.port, ssl=address.tls_context()
            )
            await connection.greet()
            reply = await connection.send(tuple(command))
    except TimeoutError:
        raise CountersGone(f"{where}: timed out") from None
    except OSError as error:
        raise CountersGone(f"{where}: {error.strerror or error}") from None
    finally:
        if connection is not None:
            connection.close()
    if isinstance(reply, hiredis.ReplyError):
        raise CountersGone(f"{where}: {reply}")
    return reply


def _fields(reply: Sequence[str]) -> dict[str, str]:
    return dict(zip(reply[::2], reply[1::2], strict=False))
