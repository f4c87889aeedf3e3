"""Forwarding rules with `ctl`, beside the service."""

from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from tests.integration.cli.conftest import Ctl

DECLARED = """\
source: team
tenants:
  - name: acme
    subdomain: acme
    required_plugins: [{name: security_validator, settings: {required_headers: [x-ticket]}}]
rules:
  - name: weather
    tenant: acme
    path: /weather
    target: https://weather.example/v2
    strip_path: true
    limits: [{requests: 600, per: 1m, by: key}]
    plugins: [{name: rate_limiter, priority: 2, settings: {limit: 5, window: 1s}}]
"""


async def test_a_rule_is_applied_shown_described_and_deleted(
    ctl: Ctl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(DECLARED)
    assert await ctl("apply", "-f", str(file), "--yes") == ExitCode.OK
    capsys.readouterr()
    assert await ctl("get", "rules") == ExitCode.OK
    shown = capsys.readouterr().out
    assert "/weather/*" in shown
    assert "https://weather.example/v2" in shown
    assert await ctl("describe", "rule", "weather") == ExitCode.OK
    described = capsys.readouterr().out
    for text in ("600 requests per 1m by key", "its tenant", "rate_limiter", "security_validator"):
        assert text in described
    assert await ctl("delete", "rule", "weather", "--yes") == ExitCode.OK
    capsys.readouterr()
    await ctl("get", "rules", "-o", "json")
    assert capsys.readouterr().out.strip() == "[]"


async def test_a_mistake_in_a_rule_is_told_at_its_line(
    ctl: Ctl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(DECLARED.replace("limit: 5", "limt: 5"))
    assert await ctl("plan", "-f", str(file)) == ExitCode.ERROR
    assert "rules.weather.plugins[0].settings.limt: is no field that we know (did you mean limit?)" in (
        capsys.readouterr().err
    )
