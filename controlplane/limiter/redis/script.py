"""The Lua files, put together into the one script that runs a batch of operations."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

_ALGORITHMS = {
    "F": "fixed_window",
    "S": "sliding_window",
    "B": "token_bucket",
    "C": "calendar_window",
    "L": "concurrency",
}
_VERBS = ("states", "reserve", "settle", "renew", "usage", "run")


@dataclass(frozen=True, slots=True)
class Script:
    """The text, and the name by which Redis knows it once it is loaded."""

    text: bytes
    sha: bytes


def load_script() -> Script:
    """Read the Lua files. Each algorithm goes into a branch of `build`: only those in use are built."""
    branches = [f"if kind == '{kind}' then\n{_read(name)}end" for kind, name in _ALGORITHMS.items()]
    build = "local function build(kind)\n" + "\n".join(branches) + "\nend"
    text = "\n".join([_read("prelude"), build, *map(_read, _VERBS)]).encode()
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode())


def _read(name: str) -> str:
    return (files("controlplane.limiter") / "lua" / f"{name}.lua").read_text("utf-8")
