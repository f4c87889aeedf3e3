"""How much a client may take, in bytes and in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one server.

    The largest body is a little more than a plugin takes by default, so that the plugin refuses it.
    """

    header_bytes: int = 32 * 1024
    header_count: int = 200
    target_bytes: int = 8 * 1024
    body_bytes: int = 65 * 1024 * 1024
    header_timeout_s: float = 60.0
    body_timeout_s: float = 60.0
    idle_timeout_s: float = 75.0
    write_timeout_s: float = 60.0
    connections: int = 20_000
