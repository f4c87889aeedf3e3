"""The Lua scripts that run inside Redis."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the digest by which Redis knows it."""

    text: bytes
    digest: str


@cache
def script(name: str) -> Script:
    """The script of a file beside this one."""
    text = files(__package__).joinpath(f"{name}.lua").read_bytes()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())
