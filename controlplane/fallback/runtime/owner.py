"""The object that a piece of configuration belongs to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that holds a plugin's configuration or an upstream; counters are kept by its key."""

    resource_key: str
    version: int
