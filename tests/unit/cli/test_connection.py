"""What `ctl` asks the service over, where HTTP is told in all the ways that it can be."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cli.connection import Connection, Request, Unanswered, connection_to
from cli.exit_codes import ExitCode
from cli.finding import CallerSettings
from cli.main import main
from tests.unit.cli.stand_in import StandIn, page

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HANGS_UP = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
ASKED = Request("GET", "queues")


@dataclass
class Script:
    """What is answered on each connection, request by request; after the last one it hangs up."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    """The heads of all requests."""
    bodies: list[bytes] = field(default_factory=list)

    @contextmanager
    def asked(self, **settings: str) -> Iterator[Connection]:
        url = f"http://127.0.0.1:{self.port}"
        with connection_to(CallerSettings(**{"url": url, "token": "a-token", **settings})) as connection:  # type: ignore[arg-type]
            yield connection


@contextmanager
def answering(*connections: list[bytes], reads: bool = True) -> Iterator[Script]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = Script(server.getsockname()[1])

        def serve() -> None:
            for answers in connections:
                accepted, _ = server.accept()
                with accepted, accepted.makefile("rb") as file:
                    accepted.settimeout(30)
                    for answer in answers:
                        head = b"".join(iter(file.readline, b"\r\n"))
                        script.heads.append(head)
                        if reads:
                            script.bodies.append(file.read(length_of(head)))
                        accepted.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield script
        thread.join(30)
        assert not thread.is_alive()


def length_of(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.splitlines())
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


def body(connection: Connection, request: Request = ASKED) -> bytes:
    with connection.ask(request) as answer:
        return b"".join(answer.pieces)


def test_a_connection_is_kept_for_what_is_asked_next() -> None:
    with answering([OK, OK]) as script, script.asked() as connection:
        assert [body(connection), body(connection)] == [b"ok", b"ok"]
    assert script.heads[0] == (
        b"GET /api/v1/queues HTTP/1.1\r\n"
        + f"host: 127.0.0.1:{script.port}\r\n".encode()
        + b"authorization: Bearer a-token\r\nuser-agent: ctl\r\n"
    )


@pytest.mark.parametrize("last", [OK, HANGS_UP])
def test_one_that_the_service_has_closed_is_opened_again(last: bytes) -> None:
    with answering([last], [OK]) as script, script.asked() as connection:
        assert body(connection) == b"ok"
        wait_for_the_end(connection)
        assert body(connection) == b"ok"


def wait_for_the_end(connection: Connection) -> None:
    """Until the service's hanging up has come through."""
    kept = connection._socket  # type: ignore[attr-defined]
    if kept is not None:
        kept.settimeout(30)
        assert kept.recv(1, socket.MSG_PEEK) == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
    ],
)
def test_an_answer_ends_where_it_says(answer: bytes) -> None:
    with answering([answer]) as script, script.asked() as connection:
        assert body(connection) == b"ok"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "hung up before its answer was complete"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", "hung up before its answer was complete"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", "hung up before"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "HTTP"),
    ],
)
def test_what_breaks_off_or_is_no_http_is_no_answer(answer: bytes, why: str) -> None:
    with answering([answer]) as script, script.asked() as connection, pytest.raises(Unanswered, match=why):
        body(connection)


def test_a_service_that_refuses_what_it_has_not_read_is_heard() -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!"
    large = Request("POST", "plan", content=b"x" * 10_000_000)
    with (
        answering([refusal], reads=False) as script,
        script.asked() as connection,
        connection.ask(large) as answer,
    ):
        assert (answer.status, b"".join(answer.pieces)) == (413, b"no!")


def test_a_document_goes_out_as_it_is_with_its_query() -> None:
    with answering([OK]) as script, script.asked() as connection:
        body(connection, Request("POST", "plan", {"prune": "true", "q": "a b"}, b'{"a": 1}', {"x-a": "1"}))
    assert script.heads[0].startswith(b"POST /api/v1/plan?prune=true&q=a+b HTTP/1.1\r\n")
    assert script.heads[0].endswith(b"x-a: 1\r\ncontent-length: 8\r\n")
    assert script.bodies == [b'{"a": 1}']


@pytest.mark.parametrize("token", ["sk-canary\r\nx-injected: 1", "sk-canary-\u20ac"])
def test_a_token_that_cannot_be_sent_is_not_shown(token: str) -> None:
    with (
        answering() as script,
        script.asked(token=token) as connection,
        pytest.raises(Unanswered, match="no single line of ASCII") as caught,
    ):
        body(connection)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8400", "ftp://127.0.0.1", "http://", "http://127.0.0.1:no"])
def test_an_address_that_is_none_is_no_crash(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SLUICE_URL", url)
    monkeypatch.setenv("SLUICE_TOKEN", "a-token")
    assert main(["get", "queues"]) == ExitCode.ERROR
    assert f"the admin service at {url} cannot be reached" in capsys.readouterr().err


def test_a_service_elsewhere_is_asked_by_way_of_the_proxy(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_URL", "http://sluice.example")
    monkeypatch.setenv("HTTP_PROXY", stand_in.url)
    monkeypatch.setenv("http_proxy", stand_in.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    stand_in.says(
        "GET http://sluice.example/api/v1/queues?limit=200",
        page({"name": "support", "members": [], "source": "team"}),
    )
    assert main(["get", "queues"]) == ExitCode.OK
    assert "support" in capsys.readouterr().out
    assert stand_in.tokens == ["Bearer a-token"]
