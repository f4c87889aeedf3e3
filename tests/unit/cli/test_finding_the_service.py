"""How `ctl` finds the service and the token that it sends."""

import time
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.finding import CallerSettings, service_url
from cli.main import main
from controlplane.embedded.home import Home
from controlplane.embedded.state import PartStatus, StackState, State
from controlplane.errors import InvalidSettings
from controlplane.settings import Settings
from tests.fixtures.certificates import Authority
from tests.unit.cli.stand_in import StandIn, page, serving

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose last stack had its service on another port than usual."""
    home = Home.at(tmp_path / "home")
    home.create()
    service = PartStatus("service", ADDRESS, State.READY, time.time())
    StackState(supervisor=1, started_at=0, parts=(service,)).save(home.state_file)
    return home


def test_the_stack_that_runs_is_found_on_whatever_port_it_has(home: Home) -> None:
    with home.taken():
        assert service_url(CallerSettings(home=home.folder)) == ADDRESS


def test_a_stack_that_has_ended_says_nothing(home: Home) -> None:
    assert service_url(CallerSettings(home=home.folder)) == "http://127.0.0.1:8400"


def test_a_setting_wins_over_the_stack_that_runs(home: Home) -> None:
    with home.taken():
        assert service_url(CallerSettings(home=home.folder, url="http://10.0.0.1")) == "http://10.0.0.1"


def test_nothing_but_what_is_set_differs_from_the_settings_of_the_service() -> None:
    found, service = CallerSettings.from_env({"SLUICE_URL": "", "SLUICE_TOKEN": ""}), Settings.from_env({})
    assert found == CallerSettings()
    assert (found.home, found.host, found.service_port) == (service.home, service.host, service.service_port)


@pytest.mark.parametrize("port", ["many", "0", "65536", "-1", "８４００"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    with pytest.raises(InvalidSettings, match="SLUICE_SERVICE_PORT: must be a number from 1 to 65535"):
        CallerSettings.from_env({"SLUICE_SERVICE_PORT": port})


def test_a_token_is_not_shown_with_the_settings() -> None:
    found = CallerSettings.from_env({"SLUICE_TOKEN": "canary-1", "SLUICE_ADMIN_TOKEN": "canary-2"})
    assert (found.token, found.admin_token) == ("canary-1", "canary-2")
    assert "canary" not in repr(found)


def test_the_generated_token_is_found(
    home: Home, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(home.folder))
    monkeypatch.delenv("SLUICE_TOKEN")
    stand_in.says("GET queues?limit=200", page())
    assert main(["get", "queues"]) == ExitCode.ERROR
    assert "there is no token" in capsys.readouterr().err
    (home.secrets / "admin-token").write_text("generated\n")
    assert main(["get", "queues"]) == ExitCode.OK
    assert stand_in.tokens == ["Bearer generated"]


def test_a_token_that_the_service_does_not_know_names_the_setting(
    stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.says("GET queues?limit=200", {"title": "Unauthorized", "detail": "unknown token"}, status=401)
    assert main(["get", "queues"]) == ExitCode.ERROR
    error = capsys.readouterr().err
    assert "unknown token" in error
    assert "SLUICE_TOKEN" in error


@pytest.mark.parametrize("body", ["a page of another program", ["a", "list"]])
def test_what_is_not_sluice_is_no_crash(
    stand_in: StandIn, capsys: pytest.CaptureFixture[str], body: object
) -> None:
    stand_in.says("GET queues?limit=200", body)
    assert main(["get", "queues"]) == ExitCode.ERROR
    assert "is it Sluice?" in capsys.readouterr().err
    stand_in.says("GET queues?limit=200", body, status=502)
    assert main(["get", "queues"]) == ExitCode.ERROR
    assert "answered 502" in capsys.readouterr().err


def test_a_local_service_over_tls_has_to_be_vouched_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = StandIn()
    service.says("GET queues?limit=200", page())
    monkeypatch.setenv("SLUICE_TOKEN", "a-token")
    with serving(service, Authority.at(tmp_path / "unknown").server("127.0.0.1")):
        monkeypatch.setenv("SLUICE_URL", service.url)
        assert main(["get", "queues"]) == ExitCode.ERROR
    assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().err
    assert service.tokens == []
