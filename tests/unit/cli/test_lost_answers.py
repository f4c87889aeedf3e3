"""A request whose answer does not come: `ctl` says what that may leave behind, and only where it went out."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.connection import Request, Unanswered, connection_to
from cli.exit_codes import ExitCode
from cli.finding import CallerSettings
from cli.main import main
from cli.planning import keep
from cli.service import Service, Unheard
from tests.unit.cli.stand_in import StandIn, gateway, page, plan, planned_on, step
from tests.unit.cli.test_connection import answering, body

CHANGE = {"kind": "queue", "name": "support", "action": "create", "fields": []}
LOST = b""
MAY_BE = "what was sent may be stored"
AGAIN = "the same command completes it, or finds nothing to do"

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "queues.yaml"
    path.write_text("queues:\n  - name: support\n    members: [{name: main, provider: mock}]\n")
    return str(path)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLUICE_TOKEN", "a-token")
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))


def answer(value: Any, status: str = "200 OK") -> bytes:
    content = json.dumps(value).encode()
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(content), content)


@contextmanager
def service(monkeypatch: pytest.MonkeyPatch, *answers: bytes) -> Iterator[None]:
    """A service that gives these answers, and after the last one hangs up."""
    with answering(list(answers)) as script:
        monkeypatch.setenv("SLUICE_URL", f"http://127.0.0.1:{script.port}")
        yield


@contextmanager
def silent() -> Iterator[int]:
    """The port of somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def refusing() -> Iterator[int]:
    """A port that refuses connections, for as long as the test goes on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_an_apply_whose_answer_is_lost_may_be_stored_and_can_be_repeated(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    with service(monkeypatch, LOST):
        assert main(["apply", "-f", file, "--yes"]) == ExitCode.ERROR
    shown = capsys.readouterr().err
    assert "was asked, and no answer came: it hung up before its answer was complete" in shown
    assert MAY_BE in shown
    assert AGAIN in shown
    assert "cannot be reached" not in shown


def test_the_same_holds_where_the_answer_breaks_off(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    with service(monkeypatch, answer({"revision": 7, "plan": plan(CHANGE)})[:-5]):
        assert main(["apply", "-f", file, "--yes"]) == ExitCode.ERROR
    assert MAY_BE in capsys.readouterr().err


def test_the_same_holds_where_no_answer_comes_in_time(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("cli.service.PLAN_TIMEOUT_S", 0.2)
    with silent() as port:
        monkeypatch.setenv("SLUICE_URL", f"http://127.0.0.1:{port}")
        assert main(["apply", "-f", file, "--yes"]) == ExitCode.ERROR
    shown = capsys.readouterr().err
    assert "no answer came: timed out" in shown
    assert MAY_BE in shown


@pytest.mark.parametrize("status", ["502 Bad Gateway", "504 Gateway Timeout"])
def test_the_same_holds_where_a_proxy_says_that_it_has_lost_the_service(
    status: str, file: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    with service(monkeypatch, answer("oh", status)):
        assert main(["apply", "-f", file, "--yes"]) == ExitCode.ERROR
    assert MAY_BE in capsys.readouterr().err


def test_where_nobody_took_the_request_nothing_can_be_stored(
    file: str, refusing: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("SLUICE_URL", f"http://127.0.0.1:{refusing}")
    assert main(["apply", "-f", file, "--yes"]) == ExitCode.ERROR
    shown = capsys.readouterr().err
    assert "cannot be reached" in shown
    assert "may be stored" not in shown


def test_a_kept_plan_whose_answer_is_lost_cannot_be_repeated_and_says_what_can(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    kept = tmp_path / "plan.json"
    keep(plan(CHANGE), [file], kept)
    with service(monkeypatch, answer(plan(CHANGE)), LOST):
        assert main(["apply", "--plan", str(kept), "--yes"]) == ExitCode.ERROR
    shown = capsys.readouterr().err
    assert MAY_BE in shown
    assert "a plan is applied once: `ctl plan` says what is left to do" in shown
    assert AGAIN not in shown


def test_keys_that_were_made_up_are_lost_with_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    path, keys = tmp_path / "keys.yaml", tmp_path / "keys.json"
    path.write_text("keys:\n  - {name: web, queues: [support]}\n")
    made = plan({"kind": "key", "name": "web", "action": "create", "fields": []})
    with service(monkeypatch, answer(made), LOST):
        command = ["apply", "-f", str(path), "--yes", "--keys-out", str(keys)]
        assert main(command) == ExitCode.ERROR
    shown = capsys.readouterr().err
    assert MAY_BE in shown
    assert "`ctl keys rotate` gives them other texts" in shown
    assert not keys.exists()


def test_a_rollback_whose_answer_is_lost_may_be_stored(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    with service(monkeypatch, answer(plan(CHANGE)), LOST):
        assert main(["rollback", "3", "--yes"]) == ExitCode.ERROR
    shown = capsys.readouterr().err
    assert MAY_BE in shown
    assert AGAIN in shown


def test_a_rollback_that_is_refused_or_not_planned_stores_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    with service(monkeypatch, LOST):
        assert main(["rollback", "3", "--yes"]) == ExitCode.ERROR
    assert "may be stored" not in capsys.readouterr().err


@pytest.mark.parametrize("write", [True, False])
def test_every_write_says_so_and_nothing_else_does(write: bool) -> None:
    asks: list[Callable[[Service], object]] = [
        lambda service: service.create("keys", {"name": "web"}),
        lambda service: service.delete("queues/support"),
        lambda service: service.plan({}, {}),
        lambda service: service.get("queues"),
    ]
    for ask in asks[:2] if write else asks[2:]:
        with (
            answering([LOST]) as script,
            script.asked() as connection,
            pytest.raises(Unheard, match="no answer came") as caught,
        ):
            ask(Service(connection, f"http://127.0.0.1:{script.port}"))
        assert (MAY_BE in str(caught.value)) == write


def test_a_service_that_dies_while_the_gateways_are_waited_for_has_stored_the_revision(
    stand_in: StandIn, file: str, capsys: Captured
) -> None:
    steps = planned_on(step())
    stand_in.says(
        "POST apply?plan=brief", {"revision": 7, "changes": [CHANGE], "plan": plan(CHANGE, gateways=[steps])}
    )
    stand_in.says("GET gateways?limit=200", page(gateway(revision=6)))
    stand_in.answers["GET gateways?limit=200"].append((503, {"detail": "the database is gone"}))
    assert main(["apply", "-f", file, "--yes", "--timeout", "20"]) == ExitCode.PARTLY_APPLIED
    shown = capsys.readouterr().err
    assert "the database is gone" in shown
    assert "revision 7 is stored" in shown


def test_by_way_of_a_proxy_it_is_the_same(
    file: str, refusing: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("SLUICE_URL", "http://sluice.example")
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with answering([LOST]) as script:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{script.port}")
        assert main(["apply", "-f", file, "--yes"]) == ExitCode.ERROR
    assert MAY_BE in capsys.readouterr().err
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{refusing}")
    assert main(["apply", "-f", file, "--yes"]) == ExitCode.ERROR
    shown = capsys.readouterr().err
    assert "cannot be reached" in shown
    assert "may be stored" not in shown


def test_what_did_not_go_out_whole_was_not_sent() -> None:
    with silent() as port:
        settings = CallerSettings(url=f"http://127.0.0.1:{port}", token="a-token")
        large = Request("POST", "apply", content=b"x" * 50_000_000, timeout_s=0.2)
        with connection_to(settings) as connection, pytest.raises(Unanswered) as caught:
            body(connection, large)
    assert not caught.value.sent


def test_what_went_out_and_was_not_answered_was_sent() -> None:
    with silent() as port:
        settings = CallerSettings(url=f"http://127.0.0.1:{port}", token="a-token")
        with connection_to(settings) as connection, pytest.raises(Unanswered) as caught:
            body(connection, Request("POST", "apply", content=b"{}", timeout_s=0.2))
    assert caught.value.sent
