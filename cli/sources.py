"""What `-f` names: files, folders and stdin, and their text."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from controlplane.errors import InvalidSpec

STDIN = "-"
LARGEST_FILE = 10_000_000
_STDIN_LABEL = "<stdin>"
_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Source:
    """One text that declares something: what it is called in messages, and where its references start."""

    label: str
    folder: Path
    raw: bytes = field(repr=False)

    def text(self) -> str:
        """The text. Raises InvalidSpec."""
        if len(self.raw) > LARGEST_FILE:
            raise InvalidSpec(f"the file is over {LARGEST_FILE // 1_000_000} MB", remedy="split it")
        try:
            return self.raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.raw[: error.start].count(b"\n") + 1
            raise InvalidSpec(
                f"the file is no UTF-8 text, as line {line} shows", remedy="save it as UTF-8"
            ) from None


def label_of(named: Sequence[str]) -> str:
    """What was named, in one text."""
    return ", ".join(_STDIN_LABEL if name == STDIN else name for name in named)


def sources(named: Sequence[str]) -> Iterator[Source]:
    """Every file that is named, or lies in a folder that is, each once. Raises InvalidSpec."""
    seen: set[Path] = set()
    for name in named:
        if name == STDIN:
            if Path(STDIN) not in seen:
                seen.add(Path(STDIN))
                yield Source(_STDIN_LABEL, Path.cwd(), sys.stdin.buffer.read(LARGEST_FILE + 1))
            continue
        for path in _files(Path(name)):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield Source(str(path), path.absolute().parent, _start_of(path))


def _files(path: Path) -> list[Path]:
    """The file itself, or those of a folder in the order of their paths, none of them hidden."""
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for folder, below, names in os.walk(path, onerror=_unreadable):
        below[:] = [name for name in below if not name.startswith(".")]
        found += [
            Path(folder, name) for name in names if name.endswith(_ENDINGS) and not name.startswith(".")
        ]
    if not found:
        raise InvalidSpec(f"the folder {path} has no file that ends in .yaml or .yml", remedy="name a file")
    return sorted(found)


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> NoReturn:
    raise InvalidSpec(f"{error.filename} cannot be read: {error.strerror}") from None
