"""`ctl` against the real service: what it sends is taken, and what it is told is shown."""

import json
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from controlplane.core.gateways import GatewaySpec
from controlplane.store.records import Kind
from controlplane.store.store import Store
from tests.fixtures.stores import AUTHOR
from tests.integration.cli.conftest import Ctl

DECLARED = """\
source: team
providers:
  - {name: mock, type: openai, endpoint: "http://127.0.0.1:9500", api_key: "${env:SLUICE_TEST_KEY:-sk-mock}"}
queues:
  - name: support
    members: [{name: main, provider: mock, model: m}]
    limits: [{tokens: 100, per: 1m}, {concurrency: 2}]
keys:
  - {name: web, queues: [support]}
"""

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "queues.yaml"
    path.write_text(DECLARED)
    return path


async def test_a_file_is_applied_once_and_found_unchanged_the_second_time(
    ctl: Ctl, file: Path, tmp_path: Path, capsys: Captured
) -> None:
    kept = tmp_path / "keys.json"
    command = ("apply", "-f", str(file), "--yes", "--keys-out", str(kept))
    assert await ctl(*command) == ExitCode.OK
    shown = capsys.readouterr()
    assert [line for line in shown.err.splitlines() if line.startswith("+ ")] == [
        "+ provider mock",
        "+ queue support",
        "+ key web",
    ]
    assert json.loads(kept.read_text())["web"].startswith("sk-sluice-")
    assert await ctl(*command) == ExitCode.OK
    assert "nothing to change" in capsys.readouterr().err

    file.write_text(DECLARED.replace("tokens: 100", "tokens: 200"))
    assert await ctl(*command) == ExitCode.OK
    shown = capsys.readouterr()
    assert "~ queue support" in shown.err
    assert "limits[0]: 100 tokens per 1m → 200 tokens per 1m" in shown.err
    assert await ctl("get", "queues") == ExitCode.OK
    assert "200 tokens per 1m; 2 concurrency" in capsys.readouterr().out


async def test_a_reference_that_only_the_service_can_check_is_led_back_to_its_line(
    ctl: Ctl, file: Path, capsys: Captured
) -> None:
    file.write_text(DECLARED.replace("provider: mock", "provider: mok"))
    assert await ctl("apply", "-f", str(file), "--yes") == ExitCode.ERROR
    assert (
        f"{file}:6:28: queues.support.members[0].provider: there is no provider 'mok' (did you mean mock?)"
        in capsys.readouterr().err
    )


async def test_every_kind_is_shown_in_every_form(
    ctl: Ctl, file: Path, tmp_path: Path, capsys: Captured
) -> None:
    await ctl("apply", "-f", str(file), "--yes", "--keys-out", str(tmp_path / "keys.json"))
    capsys.readouterr()
    for kind, names in {"queues": ["support"], "providers": ["mock"], "keys": ["web"], "tenants": []}.items():
        assert await ctl("get", kind, "-o", "json") == ExitCode.OK
        assert [item["name"] for item in json.loads(capsys.readouterr().out)] == names
        assert await ctl("get", kind) == ExitCode.OK
        assert len(capsys.readouterr().out.splitlines()) == (2 if names else 0)
        for name in names:
            assert await ctl("get", kind, name, "-o", "yaml") == ExitCode.OK
            assert f"name: {name}" in capsys.readouterr().out
    assert await ctl("describe", "queue", "support") == ExitCode.OK
    described = capsys.readouterr().out
    assert "ai-rate-limiting rule" in described
    assert "limit-conn rule" in described


async def test_secrets_are_shown_nowhere(ctl: Ctl, file: Path, tmp_path: Path, capsys: Captured) -> None:
    kept = tmp_path / "keys.json"
    await ctl("apply", "-f", str(file), "--yes", "--keys-out", str(kept))
    for command in (("get", "providers", "-o", "json"), ("get", "keys", "-o", "json")):
        await ctl(*command)
    await ctl("describe", "queue", "support", "-o", "json")
    captured = capsys.readouterr()
    for secret in ("sk-mock", json.loads(kept.read_text())["web"]):
        assert secret not in captured.out + captured.err


async def test_a_key_is_created_once_and_what_is_in_use_is_not_deleted(
    ctl: Ctl, file: Path, tmp_path: Path, capsys: Captured
) -> None:
    await ctl("apply", "-f", str(file), "--yes", "--keys-out", str(tmp_path / "keys.json"))
    capsys.readouterr()
    assert await ctl("keys", "create", "mobile", "--queue", "support", "-o", "json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["key"].startswith("sk-sluice-")
    assert await ctl("keys", "create", "mobile", "--queue", "support") == ExitCode.ERROR
    assert "mobile" in capsys.readouterr().err
    assert await ctl("delete", "provider", "mock", "--yes") == ExitCode.ERROR
    assert "queue support" in capsys.readouterr().err
    for kind, name in (("key", "mobile"), ("key", "web"), ("queue", "support"), ("provider", "mock")):
        assert await ctl("delete", kind, name, "--yes") == ExitCode.OK
    capsys.readouterr()
    assert await ctl("get", "queue", "support") == ExitCode.ERROR
    assert "there is no queue 'support'" in capsys.readouterr().err


async def test_a_rotated_key_is_printed_alone_and_its_windows_are_told(
    ctl: Ctl, file: Path, tmp_path: Path, capsys: Captured
) -> None:
    await ctl("apply", "-f", str(file), "--yes", "--keys-out", str(tmp_path / "keys.json"))
    capsys.readouterr()
    assert await ctl("keys", "rotate", "web", "--overlap", "2h") == ExitCode.OK
    shown = capsys.readouterr()
    assert shown.out.startswith("sk-sluice-")
    assert len(shown.out.split()) == 1
    assert "the text before works until 20" in shown.err
    assert await ctl("keys", "rotate", "web", "--overlap", "0") == ExitCode.OK
    assert "has ceased to work" in capsys.readouterr().err
    assert await ctl("keys", "rotate", "web", "--overlap", "soon") == ExitCode.ERROR
    assert "overlap" in capsys.readouterr().err


async def test_a_gateways_key_is_shown_to_whoever_asks_for_it(
    ctl: Ctl, store: Store, capsys: Captured
) -> None:
    assert await ctl("get", "gateways") == ExitCode.OK
    assert "there are no gateways" in capsys.readouterr().err
    values = {"name": "edge", "admin_url": "http://127.0.0.1:1", "admin_key": "its-key", "enabled": False}
    await store.create(Kind.GATEWAY, GatewaySpec.model_validate(values), AUTHOR)
    for options, expected in ((("edge",), "***"), (("edge", "--show-secrets"), "its-key")):
        assert await ctl("get", "gateways", *options, "-o", "json") == ExitCode.OK
        assert json.loads(capsys.readouterr().out)["admin_key"] == expected
    assert await ctl("get", "gateways", "--show-secrets", "-o", "json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out)[0]["admin_key"] == "its-key"
    assert await ctl("get", "gateways") == ExitCode.OK
    assert "disabled" in capsys.readouterr().out
