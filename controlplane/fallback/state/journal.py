"""An append-only file of changes that survives kill -9 and the loss of power.

A record is one line: the CRC-32 of the rest, a space, JSON. Records that arrive while the disk is busy are
written together, with one fsync. A line that was not finished when the machine stopped is dropped on the next
start; it belongs to a change that nobody was told had happened.
"""

import asyncio
import os
import zlib
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import orjson

from controlplane.errors import Unavailable

Record = dict[str, Any]


class Journal:
    """One file of records."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._pending: list[bytes] = []
        self._written: asyncio.Future[None] | None = None
        self._writing = False
        self._replacement: list[Record] | None = None
        self.size = 0

    def read(self) -> Iterator[Record]:
        """Every record that was written completely; Unavailable if an earlier one is damaged."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        last = len(lines) - 1
        for number, line in enumerate(lines):
            if number == last:
                return
            record = _parse(line)
            if record is None:
                if number == last - 1:
                    return
                raise Unavailable(
                    f"the gateway's state is damaged: {self._path}, line {number + 1}",
                    remedy="restore the file, or remove it and let the reconciler write every object again",
                )
            yield record

    def replace(self, records: Iterable[Record]) -> None:
        """Make the file hold exactly these records: all of them or, if that fails, what it held before."""
        self.close()
        draft = self._path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for record in records:
                file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._file = self._path.open("ab", buffering=0)
        self.size = self._file.tell()

    def replace_soon(self, records: list[Record]) -> None:
        """Shrink the file to these records before the next append; they hold all that was appended so far."""
        self._replacement = records

    async def append(self, record: Record) -> None:
        """Return when the record is on the disk. Records keep the order of the calls."""
        self._pending.append(_line(record))
        loop = asyncio.get_running_loop()
        if self._written is None:
            self._written = loop.create_future()
        written = self._written
        if not self._writing:
            self._writing = True
            task = loop.create_task(self._write_all())
            written.add_done_callback(lambda _: task)
        await asyncio.shield(written)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    async def _write_all(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            written, self._written = self._written, None
            replacement, self._replacement = self._replacement, None
            error: OSError | None = None
            try:
                if replacement is not None:
                    await asyncio.to_thread(self.replace, replacement)
                await asyncio.to_thread(self._write, b"".join(batch))
            except OSError as failure:
                error = failure
            if written is None or written.done():
                continue
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(Unavailable(f"the gateway cannot write {self._path}: {error.strerror}"))
        self._writing = False

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise OSError(0, "the file is closed")
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError:
            # Half a record in the middle would make the whole file unreadable.
            os.ftruncate(self._file.fileno(), self.size)
            raise
        self.size += len(data)


def _line(record: Record) -> bytes:
    text = orjson.dumps(record)
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> Record | None:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    record = orjson.loads(text)
    return record if isinstance(record, dict) else None
