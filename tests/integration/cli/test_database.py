"""`ctl db` against a real Postgres."""

import pytest

from cli.exit_codes import ExitCode
from cli.main import main


def test_an_empty_database_gets_its_tables_and_a_second_upgrade_changes_nothing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_DATABASE_URL", postgres_url)
    assert main(["db", "upgrade"]) == ExitCode.OK
    assert main(["db", "upgrade"]) == ExitCode.OK
    assert capsys.readouterr().err == "the database is up to date\n" * 2


def test_an_upgrade_without_a_database_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLUICE_DATABASE_URL", raising=False)
    assert main(["db", "upgrade"]) == ExitCode.ERROR
    assert "SLUICE_DATABASE_URL is not set" in capsys.readouterr().err
