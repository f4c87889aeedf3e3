"""How `ctl status` and `ctl up` look."""

from pathlib import Path

import pytest

from cli.stack_view import Terminal, status_as_json, status_as_table
from controlplane.embedded.state import PartStatus, StackState, State
from controlplane.settings import Settings

STATE = StackState(
    supervisor=10,
    started_at=0.0,
    parts=(
        PartStatus("postgres", "127.0.0.1:8432", State.READY, since=100.0, pid=11),
        PartStatus("migrations", "", State.DONE, since=101.0),
        PartStatus(
            "gateway",
            "http://127.0.0.1:9080",
            State.FAILED,
            150.0,
            restarts=7,
            detail="ended with exit code 1",
        ),
    ),
)


def test_the_table_shows_each_part_and_why_one_is_down() -> None:
    assert status_as_table(STATE, now=100.0 + 3600 * 26).splitlines() == [
        "PART        STATE   PID  ADDRESS                UPTIME  RESTARTS",
        "postgres    ready   11   127.0.0.1:8432         1d2h    0",
        "migrations  done    -    -                      -       0",
        "gateway     failed  -    http://127.0.0.1:9080  -       7         ended with exit code 1",
    ]


def test_the_json_says_what_a_script_needs() -> None:
    value = status_as_json(Path("/home"), STATE, now=160.5)
    assert (value["running"], value["good"], value["supervisor"]) == (True, False, 10)
    assert [part["uptime_s"] for part in value["parts"]] == [60.5, None, None]
    assert value["parts"][2]["detail"] == "ended with exit code 1"


def test_the_json_of_a_home_where_nothing_runs_has_the_same_shape() -> None:
    value = status_as_json(Path("/home"), None, now=0.0)
    assert value == {"home": "/home", "running": False, "good": False, "parts": []}


def test_after_the_start_only_what_goes_wrong_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(Settings.from_env({"SLUICE_HOME": "/home"}), detached=False)
    gateway = PartStatus("gateway", "http://127.0.0.1:9080", State.READY, 0.0, took_s=0.5)
    terminal.part_changed(gateway)
    terminal.part_changed(gateway)
    terminal.part_changed(PartStatus("gateway", "", State.RESTARTING, 0.0, detail="was ended by SIGKILL"))
    terminal.part_changed(gateway)
    assert capsys.readouterr().out.splitlines() == [
        "  ✓ gateway     http://127.0.0.1:9080        0.5 s",
        "  ✗ gateway     restarting: was ended by SIGKILL",
        "  ✓ gateway     http://127.0.0.1:9080        0.5 s  again",
    ]


def test_the_summary_names_your_own_gateway_and_where_the_token_comes_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = {"SLUICE_GATEWAY_ADMIN_URL": "https://apisix.example:9180", "SLUICE_ADMIN_TOKEN": "hidden"}
    Terminal(Settings.from_env(settings), detached=True).all_ready(2.04, first=False)
    printed = capsys.readouterr().out
    assert "gateway       https://apisix.example:9180\n" in printed
    assert "admin token   from SLUICE_ADMIN_TOKEN\n" in printed
    assert printed.endswith("start 2.0 s. `ctl down` stops it.\n")
    assert "hidden" not in printed
