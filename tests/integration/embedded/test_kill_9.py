"""kill -9 of anything loses no committed row, leaves no orphan, and the next start works."""

import asyncio
import os
import signal

import asyncpg
import psutil
import pytest
import redis

from tests.fixtures.stack_process import StackProcess, wait_for

CUT = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


async def insert(url: str, count: int, first: int = 0) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (id int PRIMARY KEY)")
        for number in range(first, first + count):
            await connection.execute("INSERT INTO kept VALUES ($1)", number)
    finally:
        await connection.close()


async def rows(url: str) -> set[int]:
    connection = await asyncpg.connect(url)
    try:
        return {row["id"] for row in await connection.fetch("SELECT id FROM kept")}
    finally:
        await connection.close()


async def insert_until_cut(url: str, committed: list[int]) -> None:
    """Insert row after row until the server is gone; every row that was acknowledged is noted."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (id int PRIMARY KEY)")
        while True:
            await connection.execute("INSERT INTO kept VALUES ($1)", len(committed))
            committed.append(len(committed))
    except CUT:
        connection.terminate()


async def test_postgres_comes_back_with_every_row_that_was_committed_while_it_was_killed(
    stack: StackProcess,
) -> None:
    stack.start()
    committed: list[int] = []
    writing = asyncio.create_task(insert_until_cut(stack.postgres_url, committed))
    await asyncio.to_thread(wait_for, "some rows", lambda: len(committed) > 50)
    await asyncio.to_thread(stack.kill_part, "postgres")
    await writing
    assert set(committed) <= await rows(stack.postgres_url)


def test_valkey_comes_back_with_every_write_that_it_had_synced(stack: StackProcess) -> None:
    stack.start()
    with redis.Redis.from_url(stack.redis_url) as client:
        for number in range(200):
            client.set(f"key:{number}", number)
        client.waitaof(num_local=1, num_replicas=0, timeout=0)
    before = stack.pid("valkey")
    stack.kill_part("valkey")
    assert stack.pid("valkey") != before
    with redis.Redis.from_url(stack.redis_url) as client:
        assert client.dbsize() == 200


async def test_a_killed_supervisor_leaves_no_process_and_the_next_start_finds_every_row(
    stack: StackProcess,
) -> None:
    stack.start()
    await insert(stack.postgres_url, 20)
    stack.kill_supervisor()
    await asyncio.to_thread(wait_for, "no process is left", lambda: not stack.processes())
    await asyncio.to_thread(stack.start)
    assert await rows(stack.postgres_url) == set(range(20))


async def test_a_start_right_after_the_kill_does_not_trip_over_what_is_still_ending(
    stack: StackProcess,
) -> None:
    stack.start()
    await insert(stack.postgres_url, 5)
    for _ in range(3):
        stack.kill_supervisor()
        await asyncio.to_thread(stack.start)
    assert await rows(stack.postgres_url) == set(range(5))


def test_a_killed_guard_takes_its_part_along_and_both_come_back(stack: StackProcess) -> None:
    stack.start()
    for part in ("postgres", "valkey", "mock"):
        before = stack.part(part)
        assert before.pid
        guard = psutil.Process(before.pid).parent()
        assert guard is not None
        guard.kill()
        wait_for(f"{part} is back", lambda: stack.part(part).restarts > 0 and stack.good())  # noqa: B023
        assert before.pid not in [process.pid for process in stack.processes()]


async def test_a_session_that_is_busy_computing_does_not_outlive_a_killed_guard(stack: StackProcess) -> None:
    """Such a session does not notice the end of its server, and would keep the next one from starting."""
    stack.start()
    connection = await asyncpg.connect(stack.postgres_url)
    busy = connection.get_server_pid()
    computing = asyncio.create_task(connection.execute("SELECT count(*) FROM generate_series(1, 1e11)"))
    server = psutil.Process(stack.pid("postgres"))
    session = next(child for child in server.children() if child.pid == busy)
    await asyncio.to_thread(
        wait_for, "the session computes", lambda: session.status() == psutil.STATUS_RUNNING
    )
    guard = server.parent()
    assert guard is not None
    guard.kill()
    with pytest.raises(CUT):
        await computing
    connection.terminate()
    await asyncio.to_thread(
        wait_for, "postgres is back", lambda: stack.good() and stack.pid("postgres") != server.pid
    )
    assert session.pid not in [process.pid for process in stack.processes()]


async def test_a_session_that_is_busy_computing_does_not_outlive_a_killed_supervisor(
    stack: StackProcess,
) -> None:
    stack.start()
    connection = await asyncpg.connect(stack.postgres_url)
    computing = asyncio.create_task(connection.execute("SELECT count(*) FROM generate_series(1, 1e11)"))
    await asyncio.sleep(0)
    stack.kill_supervisor()
    with pytest.raises(CUT):
        await computing
    connection.terminate()
    await asyncio.to_thread(wait_for, "no process is left", lambda: not stack.processes())


def test_even_the_supervisor_and_all_guards_killed_at_once_do_not_stop_the_next_start(
    stack: StackProcess,
) -> None:
    stack.start()
    assert stack.process is not None
    guards = psutil.Process(stack.process.pid).children()
    stack.process.kill()
    for guard in guards:
        guard.kill()
    stack.output()
    stack.start()
    stack.stop()
    stack.wait_until_gone()


def test_a_postmaster_pid_that_now_belongs_to_another_program_does_not_stop_the_next_start(
    stack: StackProcess,
) -> None:
    stack.start()
    stack.stop()
    pid_file = stack.home.folder / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n0\n{stack.port('postgres')}\n\n127.0.0.1\n")
    stack.start()
    assert stack.good()


def test_a_lock_file_of_a_killed_supervisor_is_recognised_as_stale(stack: StackProcess) -> None:
    stack.start()
    stack.kill_supervisor()
    (stack.home.folder / "stack.lock").write_text(f"{os.getpid()}\n")
    stack.start()
    assert stack.home.supervisor() == (stack.process and stack.process.pid)


def test_a_kill_in_the_middle_of_the_first_start_leaves_a_home_that_starts(stack: StackProcess) -> None:
    stack.launch()
    draft = stack.home.folder / "postgres" / "draft" / "global"
    wait_for("initdb works", draft.exists)
    stack.kill_supervisor()
    stack.start()
    assert stack.good()


def test_a_terminal_that_closes_stops_the_stack_in_order(stack: StackProcess) -> None:
    stack.start()
    assert stack.process is not None
    stack.process.send_signal(signal.SIGHUP)
    assert "stopped" in stack.output()
    assert stack.process.returncode == 0
    stack.wait_until_gone()
