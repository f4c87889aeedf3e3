"""The README's quick start, taken out of it and run in a folder of its own."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.free_ports import free_ports

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0
PORTS = {
    "SLUICE_SERVICE_PORT": 8400,
    "SLUICE_GATEWAY_PORT": 9080,
    "SLUICE_GATEWAY_ADMIN_PORT": 9180,
    "SLUICE_MOCK_PORT": 9500,
    "SLUICE_POSTGRES_PORT": 8432,
    "SLUICE_REDIS_PORT": 8479,
}


def quick_start_blocks() -> list[str]:
    """The bash blocks of the section, in their order; the first starts the stack."""
    section = (ROOT / "README.md").read_text().split("## Quick start\n")[1].split("\n## ")[0]
    return re.findall(r"```bash\n(.*?)```", section, re.DOTALL)


@dataclass(frozen=True)
class Reader:
    """Somebody who follows the README: in a fresh folder, on ports that nobody else uses."""

    folder: Path
    ports: Mapping[str, int]

    @classmethod
    def at(cls, folder: Path) -> "Reader":
        folder.mkdir()
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            (folder / name).symlink_to(ROOT / name)
        (folder / ".venv").mkdir()
        for item in Path(sys.prefix).iterdir():
            (folder / ".venv" / item.name).symlink_to(item)
        # Newer than everything, so that make finds nothing to install into the environment of the tests.
        (folder / ".venv" / ".ready").unlink(missing_ok=True)
        (folder / ".venv" / ".ready").touch()
        return cls(folder, dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))

    @property
    def environ(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        return {**inherited, **{name: str(port) for name, port in self.ports.items()}}

    @contextmanager
    def stack(self, command: str) -> Iterator[None]:
        """Type the command that starts the stack, wait until all is ready, and press Ctrl-C at the end."""
        log = self.folder / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command.strip()}"],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + DEADLINE_S
            while "Ctrl-C stops it" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            process.wait(DEADLINE_S)

    def run(self, blocks: list[str]) -> list[str]:
        """What each block prints, all typed into one shell that stops at the first failure."""
        mark = "=== the next block ==="
        script = f"\necho {shlex.quote(mark)}\n".join(self.on_own_ports(block) for block in blocks)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"exec 2>&1\n{script}"],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split(mark + "\n")

    def on_own_ports(self, text: str) -> str:
        """The text with the usual ports replaced by those of this reader: all that is ever changed."""
        for setting, usual in PORTS.items():
            text = text.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{self.ports[setting]}")
        return text
