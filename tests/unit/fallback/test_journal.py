"""The file of changes: what is in it after a crash, a full disk, or damage."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.errors import Unavailable
from controlplane.fallback.state.journal import Journal

FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from controlplane.errors import Unavailable
from controlplane.fallback.state.journal import Journal

async def main(path):
    journal = Journal(path)
    journal.replace([])
    await journal.append({"n": 1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
    try:
        await journal.append({"n": 2, "text": "x" * 1000})
    except Unavailable:
        print("refused")
    await journal.append({"n": 3})
    journal.close()

asyncio.run(main(Path(sys.argv[1])))
"""


async def write(path: Path, *numbers: int) -> None:
    journal = Journal(path)
    journal.replace(list(journal.read()))
    await asyncio.gather(*(journal.append({"n": number}) for number in numbers))
    journal.close()


def numbers_in(path: Path) -> list[int]:
    return [record["n"] for record in Journal(path).read()]


async def test_records_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    await write(path, *range(500))
    await write(path, 500)
    assert numbers_in(path) == list(range(501))


async def test_a_last_record_that_was_not_finished_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    await write(path, 1, 2, 3)
    whole = path.read_bytes()
    for length in range(len(whole) - 1, whole.rindex(b"\n", 0, -1) + 1, -1):
        path.write_bytes(whole[:length])
        assert numbers_in(path) == [1, 2]


async def test_damage_in_the_middle_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    await write(path, 1, 2, 3)
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":7'))
    with pytest.raises(Unavailable, match="line 1"):
        numbers_in(path)


async def test_the_file_can_shrink_while_records_arrive(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.replace([])
    for number in range(10):
        await journal.append({"n": number})
    journal.replace_soon([{"n": 9}])
    await asyncio.gather(*(journal.append({"n": number}) for number in range(10, 13)))
    journal.close()
    assert numbers_in(path) == [9, 10, 11, 12]


def test_a_record_that_does_not_fit_on_the_disk_leaves_no_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "refused\n"
    assert numbers_in(path) == [1, 3]
