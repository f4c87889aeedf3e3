"""ctl validate: files are checked without a service."""

import io
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.main import main

Captured = pytest.CaptureFixture[str]

QUEUE = """\
queues:
  - name: support
    members: [{name: main, provider: mock, model: m}]
    limits: [{tokens: 1000, per: 1m}]
"""


def test_several_files_are_valid_together(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "queues.yaml").write_text(QUEUE)
    more = tmp_path / "more.yaml"
    more.write_text("providers:\n  - {name: mock, type: openai, api_key: $env://OPENAI_API_KEY}\n")
    assert main(["validate", "-f", str(tmp_path / "queues.yaml"), "-f", str(more)]) == ExitCode.OK
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"{tmp_path}/queues.yaml, {more} is valid\n"


def test_what_another_declaration_may_have_is_a_note(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text(QUEUE)
    assert main(["validate", "-f", str(file)]) == ExitCode.OK
    assert f"note: {file}:3:28: queues.support.members[0].provider: there is no provider 'mock' here" in (
        capsys.readouterr().err
    )


def test_a_name_that_nobody_has_is_answered_with_the_nearest_beside_everything_else(
    tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "queues.yaml"
    providers = "providers: [{name: Mock-1, type: openai}, {name: other, type: openai}]\n"
    queue = QUEUE.replace("provider: mock", "provider: mock-2").replace("tokens: 1000", "usd: 5")
    file.write_text(providers + queue)
    assert main(["validate", "-f", str(file)]) == ExitCode.ERROR
    told = capsys.readouterr().err
    assert f"{file}:4:28: queues.support.members[0].provider: there is no provider 'mock-2' here" in told
    assert "(did you mean Mock-1? otherwise the service must know it by then)" in told
    assert f"{file}:5:15: queues.support.limits[0].usd" in told


def test_a_tier_that_is_not_declared_is_a_note_where_others_are(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text(
        "tiers: [{name: pro}]\ntenants:\n  - {name: acme, tier: prro}\n  - {name: other, tier: pro}\n"
    )
    assert main(["validate", "-f", str(file)]) == ExitCode.OK
    told = capsys.readouterr().err
    assert f"note: {file}:3:18: tenants.acme.tier: there is no tier 'prro' here" in told
    assert "did you mean pro?" in told
    assert "tenants.other" not in told
    file.write_text("tenants:\n  - {name: acme, tier: prro}\n")
    assert main(["validate", "-f", str(file)]) == ExitCode.OK
    assert "note" not in capsys.readouterr().err


def test_a_limit_that_nothing_can_enforce_is_pointed_at(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text(QUEUE.replace("limits: [{tokens: 1000, per: 1m}]", "limits: [{usd: 5, per: month}]"))
    assert main(["validate", "-f", str(file)]) == ExitCode.ERROR
    assert f"{file}:4:" in capsys.readouterr().err


def test_a_tenant_s_limit_that_cannot_span_its_queues_is_pointed_at(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text("tenants:\n  - {name: acme, limits: [{requests: 5, per: 1m}]}\n")
    assert main(["validate", "-f", str(file)]) == ExitCode.ERROR
    assert f"{file}:2:28: tenants.acme.limits[0].requests" in capsys.readouterr().err


def test_stdin_and_files_are_one_declaration(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin:
        buffer = io.BytesIO(QUEUE.encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    file = tmp_path / "queues.yaml"
    file.write_text(QUEUE)
    assert main(["validate", "-f", str(file), "-f", "-"]) == ExitCode.ERROR
    assert f"<stdin>:2:5: queues.support: is declared here and at {file}:2:5" in capsys.readouterr().err
