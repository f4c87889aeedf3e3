"""What every `ctl` command has in common."""

import subprocess
import sys
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import cli
from cli.exit_codes import ExitCode
from cli.main import GROUPS, app_of, main, run_with
from controlplane.errors import Conflict, Problem
from tests.unit.cli.stand_in import StandIn, gateway, page, plan

HEAVY = (
    *("asyncio", "asyncpg", "httpx", "importlib.metadata", "jinja2", "litestar", "pydantic", "redis", "rich"),
    *("sqlalchemy", "sqlmodel", "urllib.request", "yaml"),
)


def heavy_after(*arguments: str) -> str:
    """Which heavy packages a command has imported by its end."""
    code = f"import sys, cli.main; cli.main.main({arguments}); print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def app_with(name: str, verb: Callable[[], None]) -> typer.Typer:
    app = app_of([])
    app.command(name)(verb)
    return app


def test_help_imports_nothing_heavy() -> None:
    assert heavy_after("--help") == "[]"


def test_the_plan_of_a_declaration_that_the_service_knows_imports_nothing_heavy(
    stand_in: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "queues.yaml").write_text("version: 1\nqueues: []\n")
    stand_in.says("POST plan/known", plan())
    assert heavy_after("plan", "-f", str(tmp_path / "queues.yaml")) == "[]"
    assert [path for _, path, _ in stand_in.seen] == ["plan/known"]


def test_a_declaration_is_applied_without_anything_heavy_but_the_reader_of_yaml(
    stand_in: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "queues.yaml").write_text("version: 1\nqueues: []\n")
    stand_in.says("POST apply?plan=brief", {"revision": 7, "changes": [], "keys": [], "plan": plan()})
    stand_in.says("GET gateways?limit=200", page(gateway()))
    loaded = heavy_after("apply", "-f", str(tmp_path / "queues.yaml"), "--yes")
    assert literal_eval(loaded) == ["yaml"]


def test_a_command_imports_no_group_but_its_own() -> None:
    code = "import sys, cli.main; cli.main.main(['keys', '--help']); print('cli.accounts' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_adds_the_verbs_that_it_is_known_for(group: str) -> None:
    assert set(typer.main.get_group(app_of([group])).commands) == set(GROUPS[group])


def test_every_file_that_adds_verbs_is_a_known_group() -> None:
    files = Path(cli.__file__).parent.glob("*.py")
    assert {file.stem for file in files if "def add_to(" in file.read_text()} == set(GROUPS)


def test_a_known_error_is_said_in_a_few_lines_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise Conflict(
            "the port is taken", problems=[Problem("SLUICE_MOCK_PORT", "9500")], remedy="take another"
        )

    assert run_with(app_with("broken", broken), ["broken"]) == ExitCode.ERROR
    assert capsys.readouterr().err == "error: the port is taken\n  SLUICE_MOCK_PORT: 9500\ntake another\n"


def test_the_exit_code_that_a_command_chooses_is_passed_on() -> None:
    def drifted() -> None:
        raise typer.Exit(ExitCode.DRIFT)

    assert run_with(app_with("drifted", drifted), ["drifted"]) == ExitCode.DRIFT


def test_an_interruption_is_said_and_looks_like_no_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    def slow() -> None:
        raise KeyboardInterrupt

    assert run_with(app_with("slow", slow), ["slow"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err.strip() == "interrupted"


@pytest.mark.parametrize("arguments", [["frobnicate"], ["up", "--nonsense"], ["logs"]])
def test_a_wrong_command_line_is_an_error_and_never_looks_like_found_changes(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitCode.ERROR
    assert capsys.readouterr().err.startswith("error: ")


def test_ctl_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert "Usage: ctl" in capsys.readouterr().out


def test_a_setting_that_cannot_be_used_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_SERVICE_PORT", "many")
    assert main(["status"]) == ExitCode.ERROR
    assert "SLUICE_SERVICE_PORT" in capsys.readouterr().err
