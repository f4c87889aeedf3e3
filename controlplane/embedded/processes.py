"""What /proc knows about the processes of this machine."""

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def parents() -> dict[int, int]:
    """Every process, with the process that it is a child of."""
    found = {}
    for folder in _folders():
        try:
            stat = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name before the last ")" may hold anything, spaces and brackets too.
        found[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def children(parent: int) -> list[int]:
    return [pid for pid, its_parent in parents().items() if its_parent == parent]


def descends_from(pid: int, ancestor: int, known: dict[int, int]) -> bool:
    """Whether `ancestor` is among the parents of `pid`, or is `pid` itself."""
    while pid not in (0, ancestor):
        pid = known.get(pid, 0)
    return pid == ancestor


def holders(path: Path) -> list[int]:
    """The processes that have this file open, as far as we may see."""
    wanted = path.stat()
    return [int(folder.name) for folder in _folders() if _has_open(folder / "fd", wanted)]


def works_in(pid: int, folder: Path) -> bool:
    """Whether that process has its working directory there."""
    try:
        return (PROC / str(pid) / "cwd").samefile(folder)
    except OSError:
        return False


def _has_open(descriptors: Path, wanted: os.stat_result) -> bool:
    try:
        for descriptor in descriptors.iterdir():
            try:
                if os.path.samestat(descriptor.stat(), wanted):
                    return True
            except FileNotFoundError:
                continue
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return False


def _folders() -> Iterator[Path]:
    return (entry for entry in PROC.iterdir() if entry.name.isdigit())
