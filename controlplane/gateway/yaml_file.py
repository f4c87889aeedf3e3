"""The driver of an apisix.yaml: a file that a standalone APISIX beside it reads whole whenever it changes."""

import asyncio
import hashlib
import os
import stat
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from controlplane.core.diff import LiveObject
from controlplane.core.objects import GatewayObject, ObjectKey
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.driver import Capabilities, Write
from controlplane.gateway.moved import Seen
from controlplane.gateway.sections import Sections, live, rewritten
from controlplane.gateway.yaml_lines import line_of
from controlplane.gateway.yaml_nodes import Raw, Unreadable
from controlplane.gateway.yaml_text import read, text_of

_ATTEMPTS = 5
_OWNER_ALONE = 0o600
_ALL_BUT_OTHERS = 0o770


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Where a gateway's file is: a path below the folder that is set for such files."""

    folder: Path | None
    name: str


class ApisixYaml:
    """A standalone APISIX that reads its configuration from a file."""

    def __init__(self, place: FilePlace, plugins: Collection[str]) -> None:
        self._place = place
        self._plugins = frozenset(plugins)
        self._seen = Seen()
        self.read_stamp: str | None = None

    async def capabilities(self) -> Capabilities:
        await asyncio.to_thread(self._held)
        return Capabilities("unknown", self._plugins)

    async def read(self) -> Mapping[ObjectKey, LiveObject]:
        return await asyncio.to_thread(self._read)

    async def stamp(self) -> str | None:
        try:
            return _stamp(await asyncio.to_thread(self._held))
        except GatewayUnavailable:
            return None

    async def find(self, keys: Collection[ObjectKey]) -> Mapping[ObjectKey, LiveObject]:
        if not keys:
            return {}
        found = await self.read()
        return {key: found[key] for key in keys if key in found}

    async def write_all(self, writes: Sequence[Write]) -> Mapping[ObjectKey, str]:
        return await asyncio.to_thread(self._write_all, writes)

    async def check(self, _: Iterable[GatewayObject]) -> Mapping[ObjectKey, str]:
        return {}

    async def last_uses(self) -> Mapping[str, float]:
        return {}

    async def validate(self, _: Iterable[GatewayObject]) -> Mapping[ObjectKey, str] | None:
        return None

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _path(self) -> Path:
        if self._place.folder is None:
            raise GatewayUnavailable(
                f"nothing says in which folder {self._place.name} is",
                remedy="set SLUICE_GATEWAY_FILES for the service",
            )
        return self._place.folder / self._place.name

    def _held(self) -> bytes:
        """The file as it is; one that is not there yet is empty."""
        path = self._path()
        try:
            return path.read_bytes()
        except FileNotFoundError:
            if path.parent.is_dir():
                return b""
            raise _unavailable(path, "its folder is not there") from None
        except OSError as error:
            raise _unavailable(path, str(error.strerror)) from None

    def _parts(self, held: bytes) -> tuple[Sections[Raw], Mapping[str, Raw]]:
        try:
            return read(held.decode())
        except ValueError as error:
            why = str(error) if isinstance(error, Unreadable) else "is no UTF-8"
            raise GatewayRefused(
                f"{self._path()} {why}; it is left as it is",
                status=httpx.codes.UNPROCESSABLE_ENTITY,
                remedy="mend the file, or move it away",
            ) from None

    def _read(self) -> Mapping[ObjectKey, LiveObject]:
        held = self._held()
        found = live(self._parts(held)[0])
        self._seen.keep(found)
        self.read_stamp = _stamp(held)
        return found

    def _write_all(self, writes: Sequence[Write]) -> Mapping[ObjectKey, str]:
        path = self._path()
        for _ in range(_ATTEMPTS):
            held = self._held()
            sections, others = self._parts(held)
            self._seen.check(writes, live(sections))
            made = rewritten(sections, writes, line_of)
            if made.changed:
                raw = {name: [entry.raw for entry in found] for name, found in made.sections.items() if found}
                text = text_of(raw, others)
                if not self._replaced(path, text.encode(), held):
                    continue
            self._seen.keep(live(made.sections))
            return made.left_out
        raise GatewayRefused(
            f"somebody else keeps writing {path}, so that nothing could be written",
            status=httpx.codes.CONFLICT,
            remedy="let one control plane alone write it, or wait for the next pass",
        )

    def _replaced(self, path: Path, text: bytes, held: bytes) -> bool:
        """Put the new file in the place of the old one; False if that is not what was read any more."""
        try:
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            new = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(text)
                    file.flush()
                    _like(file.fileno(), path)
                    os.fsync(file.fileno())
                if self._held() != held:
                    return False
                new.replace(path)
            finally:
                new.unlink(missing_ok=True)
        except OSError as error:
            raise _unavailable(path, str(error.strerror)) from None
        return True


def _like(file: int, path: Path) -> None:
    """Give a new file the group, the mode and the time that it needs in the place of another."""
    try:
        before = path.stat()
    except FileNotFoundError:
        os.fchmod(file, _OWNER_ALONE)
        return
    mode = stat.S_IMODE(before.st_mode) & _ALL_BUT_OTHERS  # it holds secrets
    try:
        os.fchown(file, -1, before.st_gid)
    except PermissionError:
        mode &= stat.S_IRWXU
    os.fchmod(file, mode)
    # APISIX knows a new file by its time in whole seconds.
    if int(os.fstat(file).st_mtime) <= int(before.st_mtime):
        later = int(before.st_mtime) + 1
        os.utime(file, (later, later))


def _stamp(held: bytes) -> str:
    return hashlib.blake2b(held, digest_size=32).hexdigest()


def _unavailable(path: Path, why: str) -> GatewayUnavailable:
    return GatewayUnavailable(
        f"{path} cannot be used: {why}", remedy="check the folder, and who may write to it"
    )
