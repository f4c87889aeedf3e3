"""`ctl up -d`, `ctl status`, `ctl logs`, `ctl down`: the whole stack, as a user runs it."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.stack_process import StackProcess, ctl, wait_for

PARTS = ["postgres", "valkey", "mock", "migrations", "gateway", "service"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackProcess]:
    """The whole stack, in the background, for all tests of this module."""
    stack = StackProcess.at(tmp_path_factory.mktemp("ctl") / "home")
    up = ctl(stack.environ, "up", "-d")
    assert up.returncode == 0, up.stdout + up.stderr
    yield stack
    ctl(stack.environ, "down")
    stack.wait_until_gone()


def status(stack: StackProcess) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(ctl(stack.environ, "status", "-o", "json").stdout)
    return value


def get(port: int, path: str, **headers: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status


def test_every_part_is_ready_when_ctl_up_d_returns(stack: StackProcess) -> None:
    value = status(stack)
    assert value["good"]
    assert [part["name"] for part in value["parts"]] == PARTS
    assert get(stack.port("service"), "/health/live") == 200
    assert get(stack.port("service"), "/health/ready") == 200
    assert get(stack.port("mock"), "/_mock/health") == 200


def test_the_gateway_s_admin_api_takes_the_generated_key_and_no_other(stack: StackProcess) -> None:
    path, port = "/apisix/admin/routes", stack.port("gateway_admin")
    assert get(port, path, **{"X-API-KEY": stack.secret("fallback-admin-key")}) == 200
    assert get(port, path, **{"X-API-KEY": "guess"}) == 401


def test_ctl_status_shows_each_part_in_a_table(stack: StackProcess) -> None:
    shown = ctl(stack.environ, "status")
    assert shown.returncode == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["PART", *PARTS]


def test_ctl_up_in_the_same_home_is_refused_in_both_ways(stack: StackProcess) -> None:
    for arguments in (("up",), ("up", "-d")):
        again = ctl(stack.environ, *arguments)
        assert again.returncode == 1
        assert f"a stack already runs in {stack.home.folder}" in again.stderr
    assert status(stack)["good"]


def test_ctl_logs_shows_the_last_lines_of_a_part(stack: StackProcess) -> None:
    shown = ctl(stack.environ, "logs", "supervisor", "-n", "1")
    assert shown.stdout.count("\n") == 1
    assert "listening on" in ctl(stack.environ, "logs", "postgres").stdout


def test_ctl_logs_of_an_unknown_part_names_the_known_ones(stack: StackProcess) -> None:
    shown = ctl(stack.environ, "logs", "../secrets/admin-token")
    assert shown.returncode == 1
    assert "there are: gateway, migrations, mock, postgres, service, supervisor, valkey" in shown.stderr


@pytest.mark.parametrize("part", ["service", "gateway", "postgres", "valkey", "mock"])
def test_a_part_that_is_killed_is_back_soon(stack: StackProcess, part: str) -> None:
    before = stack.part(part)
    assert before.pid
    os.kill(before.pid, signal.SIGKILL)
    wait_for(f"{part} is back", lambda: stack.part(part).restarts > before.restarts and status(stack)["good"])
    assert get(stack.port("service"), "/health/ready") == 200


def test_a_killed_supervisor_leaves_nothing_and_the_next_start_works(stack: StackProcess) -> None:
    supervisor = stack.home.supervisor()
    assert supervisor
    os.kill(supervisor, signal.SIGKILL)
    wait_for("no process is left", lambda: not stack.processes())
    shown = ctl(stack.environ, "status")
    assert (shown.returncode, shown.stdout) == (
        1,
        f"nothing runs in {stack.home.folder}; `ctl up` starts it\n",
    )
    assert ctl(stack.environ, "up", "-d").returncode == 0


def test_ctl_down_stops_everything_and_may_be_repeated(tmp_path: Path, stack: StackProcess) -> None:
    assert ctl(stack.environ, "down").stdout == f"stopped; the state stays in {stack.home.folder}\n"
    stack.wait_until_gone()
    assert ctl(stack.environ, "down").returncode == 0
    again = ctl(stack.environ, "up", "-d")
    assert again.returncode == 0
    assert "first start" not in again.stdout


def test_a_detached_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    stack = StackProcess.at(tmp_path / "home")
    with socket.create_server(("127.0.0.1", stack.port("service"))):
        up = ctl(stack.environ, "up", "-d")
    assert up.returncode == 1
    assert "SLUICE_SERVICE_PORT" in up.stderr
    stack.wait_until_gone()


def test_a_part_that_does_not_start_fails_ctl_up_with_its_last_log_lines(tmp_path: Path) -> None:
    stack = StackProcess.at(tmp_path / "home")
    data = stack.home.folder / "postgres" / "data"
    data.mkdir(parents=True, mode=0o700)
    (data / "PG_VERSION").write_text("9.6\n")
    up = ctl(stack.environ, "up", "-d")
    assert up.returncode == 1
    assert "postgres does not start: ended with exit code" in up.stderr
    assert "\n  | postgres: could not access the server configuration file" in up.stderr
    assert f"its log is {stack.home.log('postgres')}" in up.stderr
    stack.wait_until_gone()
