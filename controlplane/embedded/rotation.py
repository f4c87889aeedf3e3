"""A log file that does not grow without end."""

from pathlib import Path


class RotatingLog:
    """Appends to `path`; over `limit` bytes it begins anew and keeps the old ones as path.1, path.2, …"""

    def __init__(self, path: Path, *, limit: int = 8_000_000, keep: int = 3) -> None:
        self._path = path
        self._limit = limit
        self._keep = keep
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        if self._file.tell() and self._file.tell() + len(data) > self._limit:
            self._rotate()
        self._file.write(data)

    def close(self) -> None:
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._keep, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self._file = self._path.open("ab", buffering=0)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path
