"""Reading the log of a part, while it is written and moved aside."""

import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TextIO

POLL_S = 0.1


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log; of the one before it as well when the newest is too short."""
    with path.open(errors="replace") as file:
        return _tail(path, file, count)


def follow(path: Path, count: int) -> Generator[str, None, None]:
    """The last lines, and every line that comes; a log that is moved aside is read to its end first."""
    with path.open(errors="replace") as file:
        yield from _tail(path, file, count)
        yield from _until_moved(path, file)
    while True:
        with path.open(errors="replace") as file:
            yield from _until_moved(path, file)


def _until_moved(path: Path, file: TextIO) -> Iterator[str]:
    unfinished = ""
    while True:
        last_look = not _is_still_at(path, file)
        for text in file:
            unfinished += text
            if unfinished.endswith("\n"):
                yield unfinished.rstrip("\n")
                unfinished = ""
        if last_look:
            return
        time.sleep(POLL_S)


def _tail(path: Path, file: TextIO, count: int) -> list[str]:
    found: deque[str] = deque(maxlen=count)
    before = path.with_name(f"{path.name}.1")
    if before.exists():
        with before.open(errors="replace") as older:
            found.extend(line.rstrip("\n") for line in older)
    found.extend(line.rstrip("\n") for line in file)
    return list(found)


def _is_still_at(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return True
