"""A log that moves on by size, and its reader."""

from contextlib import closing
from pathlib import Path

from controlplane.embedded.logs import follow, last_lines
from controlplane.embedded.rotation import RotatingLog


def test_a_log_that_is_full_moves_on_and_only_so_many_old_ones_stay(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "part.log", limit=10, keep=2)
    for number in range(6):
        log.write(f"line {number}\n".encode())
    log.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "part.log": "line 5\n",
        "part.log.1": "line 4\n",
        "part.log.2": "line 3\n",
    }


def test_a_log_goes_on_where_the_last_run_ended(tmp_path: Path) -> None:
    for word in ("one", "two"):
        log = RotatingLog(tmp_path / "part.log")
        log.write(f"{word}\n".encode())
        log.close()
    assert (tmp_path / "part.log").read_text() == "one\ntwo\n"


def test_the_last_lines_reach_back_into_the_log_that_was_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "part.log.1").write_text("1\n2\n3\n")
    (tmp_path / "part.log").write_text("4\n")
    assert last_lines(tmp_path / "part.log", 2) == ["3", "4"]


def test_following_a_log_misses_nothing_when_it_moves_on(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "part.log", limit=20)
    log.write(b"before\nlast\n")
    with closing(follow(tmp_path / "part.log", 1)) as following:
        seen = [next(following)]
        for number in range(4):
            log.write(f"line number {number}\n".encode())
            seen.append(next(following))
    log.close()
    assert seen == ["last", "line number 0", "line number 1", "line number 2", "line number 3"]
