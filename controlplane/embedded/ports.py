"""Whether the ports that the stack wants are free, asked before anything starts."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.errors import Conflict, Problem


@dataclass(frozen=True)
class PortWish:
    """A part's wish to listen on a port, and the setting that says which."""

    part: str
    host: str
    port: int
    setting: str


def check_ports(wishes: Sequence[PortWish]) -> None:
    """Raise one error that names every port which is taken, or wished for twice."""
    problems = []
    first_wish: dict[int, PortWish] = {}
    for wish in wishes:
        if other := first_wish.get(wish.port):
            problems.append(Problem(wish.setting, f"port {wish.port} is {other.setting} as well"))
        elif reason := _obstacle(wish):
            problems.append(Problem(wish.setting, f"{wish.host}:{wish.port} for {wish.part} {reason}"))
        first_wish.setdefault(wish.port, wish)
    if problems:
        raise Conflict(
            "the stack cannot listen on every port it needs",
            problems=problems,
            remedy="stop what uses the port, or set the variable to another one",
        )


def _obstacle(wish: PortWish) -> str | None:
    family = socket.AF_INET6 if ":" in wish.host else socket.AF_INET
    with socket.socket(family) as server:
        # As the servers do it: connections of the last run that linger do not matter.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((wish.host, wish.port))
        except PermissionError:
            return "is not allowed to this user"
        except OSError as error:
            return "is taken" if error.errno == 98 else f"cannot be used: {error.strerror}"
    return None
