"""One stack in one home: who may start it, what it says, what it keeps secret, which parts are yours."""

import base64
import re
import signal
import socket
import stat
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from tests.fixtures.stack_process import StackProcess, stack_in

SECRETS = ("admin-token", "master-key", "fallback-admin-key", "postgres-password", "redis-password")


def test_a_start_prints_each_part_the_addresses_and_how_long_it_took(stack: StackProcess) -> None:
    stack.start()
    printed = stack.stop()
    for part, port in (("postgres", "postgres"), ("valkey", "redis"), ("mock", "mock")):
        assert re.search(rf"✓ {part} .*127\.0\.0\.1:{stack.port(port)} +\d+\.\d s", printed)
    assert f"admin token   {stack.home.secrets / 'admin-token'}" in printed
    assert re.search(r"first start \d+\.\d s\. Ctrl-C stops it\.", printed)
    assert printed.rstrip().endswith(f"stopped; the state stays in {stack.home.folder}")


def test_ctrl_c_stops_everything_and_is_no_failure(stack: StackProcess) -> None:
    stack.start()
    stack.stop()
    assert stack.process is not None
    assert stack.process.returncode == 0
    stack.wait_until_gone()
    assert not stack.home.state_file.exists()


def test_a_stack_goes_on_when_nobody_reads_what_it_prints(stack: StackProcess) -> None:
    stack.start()
    assert stack.process is not None
    assert stack.process.stdout is not None
    stack.process.stdout.close()
    stack.kill_part("mock")
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait() == 0
    stack.wait_until_gone()


async def test_rows_and_keys_survive_a_stop_and_a_start(stack: StackProcess) -> None:
    stack.start()
    connection = await asyncpg.connect(stack.postgres_url)
    await connection.execute("CREATE TABLE kept (id int)")
    await connection.close()
    with redis.Redis.from_url(stack.redis_url) as client:
        client.set("kept", 1)
    stack.stop()
    stack.start()
    connection = await asyncpg.connect(stack.postgres_url)
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    await connection.close()
    with redis.Redis.from_url(stack.redis_url) as client:
        assert client.get("kept") == b"1"
    assert "first start" not in stack.stop()


def test_a_second_start_in_the_same_home_is_refused_and_harms_nothing(running_stack: StackProcess) -> None:
    second = StackProcess.at(running_stack.home.folder)
    second.launch()
    said = second.output()
    assert second.process is not None
    assert second.process.returncode == 1
    assert running_stack.process is not None
    assert f"a stack already runs in {running_stack.home.folder}" in said
    assert f"(process {running_stack.process.pid})" in said
    assert running_stack.good()


def test_two_homes_run_side_by_side(running_stack: StackProcess, tmp_path: Path) -> None:
    with stack_in(tmp_path / "other") as other:
        other.start()
        assert running_stack.good()


def test_a_taken_port_is_named_with_its_setting_before_anything_starts(stack: StackProcess) -> None:
    with socket.create_server(("127.0.0.1", stack.port("mock"))):
        stack.launch()
        said = stack.output()
    assert stack.process is not None
    assert stack.process.returncode == 1
    assert f"SLUICE_MOCK_PORT: 127.0.0.1:{stack.port('mock')} for the mock provider is taken" in said
    assert "✓" not in said


def test_a_home_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with stack_in(tmp_path / "file" / "home") as stack:
        stack.launch()
        assert f"the folder {tmp_path / 'file' / 'home'} cannot be used" in stack.output()


def test_secrets_are_files_that_only_their_owner_can_read(running_stack: StackProcess) -> None:
    assert {path.name for path in running_stack.home.secrets.iterdir()} == set(SECRETS)
    assert {stat.S_IMODE(path.stat().st_mode) for path in running_stack.home.secrets.iterdir()} == {0o600}
    assert stat.S_IMODE(running_stack.home.secrets.stat().st_mode) == 0o700
    assert len(base64.b64decode(running_stack.secret("master-key"))) == 32


def test_no_secret_is_printed_logged_written_down_or_shown_in_a_command_line(stack: StackProcess) -> None:
    stack.start()
    stack.kill_part("postgres")
    commands = [argument for process in stack.processes() for argument in process.cmdline()]
    state = stack.home.state_file.read_text()
    printed = stack.stop()
    logs = [log.read_text(errors="replace") for log in stack.home.logs.iterdir()]
    for name in SECRETS:
        assert not [text for text in (*commands, state, printed, *logs) if stack.secret(name) in text], name


def test_the_mock_provider_is_told_no_secret(running_stack: StackProcess) -> None:
    environ = psutil.Process(running_stack.pid("mock")).environ()
    assert not [name for name in SECRETS if running_stack.secret(name) in environ.values()]


async def test_strangers_are_refused_by_postgres_and_by_valkey(running_stack: StackProcess) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://sluice:guess@127.0.0.1:{running_stack.port('postgres')}/sluice")
    with redis.Redis(port=running_stack.port("redis")) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_postgres_and_a_redis_of_yours_take_the_place_of_ours(
    tmp_path: Path, postgres_url: str, valkey_url: str
) -> None:
    with stack_in(tmp_path / "home", SLUICE_DATABASE_URL=postgres_url, SLUICE_REDIS_URL=valkey_url) as stack:
        stack.start()
        assert stack.part("postgres").pid is None
        assert stack.part("valkey").pid is None
        assert stack.part("postgres").address in postgres_url
        assert not (stack.home.folder / "postgres").exists()
        assert not (stack.home.folder / "valkey").exists()
        assert postgres_url not in stack.home.state_file.read_text()


def test_a_postgres_of_yours_that_cannot_be_reached_is_an_error_that_names_it(stack: StackProcess) -> None:
    stack.environ["SLUICE_DATABASE_URL"] = f"postgresql://me:hidden@127.0.0.1:{stack.port('postgres')}/mine"
    stack.launch()
    said = stack.output()
    assert f"postgres at 127.0.0.1:{stack.port('postgres')} cannot be used" in said
    assert "SLUICE_DATABASE_URL" in said
    assert "hidden" not in said


def test_other_postgres_programs_than_the_wheel_s_can_be_named(stack: StackProcess, tmp_path: Path) -> None:
    stack.environ["SLUICE_POSTGRES_BINDIR"] = str(tmp_path)
    stack.launch()
    assert f"there is no Postgres at {tmp_path / 'postgres'}" in stack.output()
