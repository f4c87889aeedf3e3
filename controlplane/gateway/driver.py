"""What every driver of a gateway promises."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from controlplane.core.diff import LiveObject
from controlplane.core.objects import Body, GatewayObject, ObjectKey

IN_FLIGHT = 8
"""Requests at once, to a gateway of which nothing is known."""

MOST_IN_FLIGHT = 64
"""Writes at once to a gateway that answers them soon."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a gateway can do."""

    version: str
    plugins: frozenset[str]


@dataclass(frozen=True, slots=True)
class Write:
    """An object as it is to be; without a body it is to be gone. Secrets are plain text here."""

    key: ObjectKey
    body: Body | None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """The texts in the body that an error must not repeat."""

    def __repr__(self) -> str:
        return f"Write({self.key})"


class Gateway(Protocol):
    """A gateway that can be read.

    Every method raises GatewayUnavailable where trying again may help, GatewayRefused where it cannot. What
    the gateway says in them repeats no secret that it was sent, and is short enough to be shown.
    """

    async def capabilities(self) -> Capabilities:
        """Version and plugins."""

    read_stamp: str | None
    """The stamp of what `read` gave last."""

    async def read(self) -> Mapping[ObjectKey, LiveObject]:
        """Every object of the kinds that we make, ours and others'."""

    async def stamp(self) -> str | None:
        """What tells this content from any other, for less than a `read`; None where it cannot be had."""

    async def find(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, LiveObject]:
        """Those of these objects that exist."""

    async def check(self, objects: Iterable[GatewayObject]) -> Mapping[ObjectKey, str]:
        """Compare with the gateway's own schema; what is wrong, by object."""

    async def last_uses(self) -> Mapping[str, float]:
        """When each consumer has called last, in seconds since the epoch, as far as the gateway knows."""

    async def validate(self, objects: Iterable[GatewayObject]) -> Mapping[ObjectKey, str] | None:
        """Ask the gateway whether it would take these; what it has against which, and nothing is written.

        None where there is nobody to ask. Raises GatewayRefused where the gateway cannot be asked.
        """

    async def close(self) -> None:
        """Let go of the connections."""


class ByObject(Gateway, Protocol):
    """A gateway that is written object by object."""

    async def write(self, key: ObjectKey, body: Body | bytes, secrets: Iterable[str] = ()) -> None:
        """Create or replace an object, which may be JSON already; `secrets` are plain text in it.

        They are looked at once, and only where the gateway does not take it.
        """

    async def delete(self, key: ObjectKey) -> None:
        """Remove an object; one that is not there counts as removed."""


@runtime_checkable
class AtOnce(Gateway, Protocol):
    """A gateway that takes everything in one write: all of it, or nothing."""

    async def write_all(self, writes: Sequence[Write]) -> Mapping[ObjectKey, str]:
        """Create, replace and remove these together; which were left out, and why.

        What is not ours stays as it is. Raises GatewayRefused where what is to be written has changed on the
        gateway since it was last read or found.
        """


Writable = ByObject | AtOnce
