"""What every `ctl` command has in common."""

import subprocess
import sys

import pytest
import typer

from cli.exit_codes import ExitCode
from cli.main import app, main
from controlplane.errors import Conflict, Problem

HEAVY = ("asyncio", "asyncpg", "httpx", "litestar", "pydantic", "redis", "rich", "sqlalchemy", "yaml")


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, cli.main; cli.main.main(['--help']); print(sorted(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_known_error_is_said_in_a_few_lines_with_its_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise Conflict(
            "the port is taken", problems=[Problem("SLUICE_MOCK_PORT", "9500")], remedy="take another"
        )

    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    app.command("broken")(broken)
    assert main(["broken"]) == ExitCode.ERROR
    assert capsys.readouterr().err == "error: the port is taken\n  SLUICE_MOCK_PORT: 9500\ntake another\n"


def test_the_exit_code_that_a_command_chooses_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def drifted() -> None:
        raise typer.Exit(ExitCode.DRIFT)

    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    app.command("drifted")(drifted)
    assert main(["drifted"]) == ExitCode.DRIFT


def test_an_interruption_is_said_and_looks_like_no_outcome(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    app.command("slow")(slow)
    assert main(["slow"]) == ExitCode.INTERRUPTED
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
