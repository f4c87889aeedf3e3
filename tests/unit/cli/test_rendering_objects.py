"""ctl render: what a declaration becomes on a gateway, without a service."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.exit_codes import ExitCode
from cli.main import main

Captured = pytest.CaptureFixture[str]
CANARY = "sk-canary-7f3d91c2a45be608"
KEY = "canary-key-of-an-application-0001"
FILE = """\
providers:
  - {name: sealed, type: openai, api_key: "${env:SEALED}"}
  - {name: handed, type: openai, api_key: $env://OPENAI_API_KEY}
queues:
  - name: support
    members: [{name: main, provider: sealed, model: m}, {name: spare, provider: handed, model: m}]
    limits: [{tokens: 1000, per: 1m}]
    guards: {deny_patterns: ["${env:PATTERN}"]}
keys:
  - {name: web, queues: [support], key: "${env:KEY}"}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SEALED", CANARY)
    monkeypatch.setenv("KEY", KEY)
    monkeypatch.setenv("PATTERN", "(a|${{b)")
    path = tmp_path / "queues.yaml"
    path.write_text(FILE)
    return str(path)


def substituted(text: str) -> Any:
    """An apisix.yaml as APISIX reads it: its mark is looked for and variables are put in, then it is YAML."""
    assert re.search(r"#END\s*$", text[-10:])
    assert "${{" not in text
    return yaml.safe_load(text)


def test_secrets_are_masked_and_references_are_whole(file: str, capsys: Captured) -> None:
    for extra in ([], ["--format", "apisix-yaml"]):
        assert main(["render", "-f", file, *extra]) == ExitCode.OK
        captured = capsys.readouterr()
        assert CANARY not in captured.out + captured.err
        assert KEY not in captured.out + captured.err
        assert "Bearer ***" in captured.out
        assert "$env://OPENAI_API_KEY" in captured.out


def test_the_same_declaration_always_gives_the_same_text_whatever_its_secrets(
    file: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["render", "-f", file])
    first = capsys.readouterr().out
    monkeypatch.setenv("SEALED", "another-secret-altogether")
    main(["render", "-f", file])
    assert capsys.readouterr().out == first


def test_admin_requests_come_in_an_order_that_a_gateway_takes(file: str, capsys: Captured) -> None:
    assert main(["render", "-f", file]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["format_version"] == 1
    paths = [request["path"] for request in document["requests"]]
    assert {request["method"] for request in document["requests"]} == {"PUT"}
    kinds = list(dict.fromkeys(path.split("/")[3] for path in paths))
    assert kinds == ["services", "plugin_configs", "consumers", "routes"]
    assert paths.index("/apisix/admin/consumers") < next(
        number for number, path in enumerate(paths) if "/credentials/" in path
    )


def test_an_apisix_yaml_has_every_object_and_the_mark_at_its_end(file: str, capsys: Captured) -> None:
    assert main(["render", "-f", file, "--format", "apisix-yaml"]) == ExitCode.OK
    found = substituted(capsys.readouterr().out)
    main(["render", "-f", file])
    requests = json.loads(capsys.readouterr().out)["requests"]
    bodies = [request["body"] for request in requests]
    entries = [
        entry for kind in ("services", "plugin_configs", "consumers", "routes") for entry in found[kind]
    ]
    assert len(entries) == len(bodies)
    assert all(
        body in [{name: value for name, value in entry.items() if name != "id"} for entry in entries]
        for body in bodies
    )
    credentials = [entry["id"] for entry in found["consumers"] if "id" in entry]
    usernames = [entry["username"] for entry in found["consumers"] if "username" in entry]
    assert credentials == [f"{usernames[0]}/credentials/{name}" for name in ("bearer", "raw")]


def test_secrets_are_revealed_into_a_file_of_ones_own_and_nowhere_else(
    file: str, capsys: Captured, tmp_path: Path
) -> None:
    assert main(["render", "-f", file, "--reveal-secrets"]) == ExitCode.ERROR
    out = tmp_path / "apisix.yaml"
    out.write_text("before")
    out.chmod(0o644)
    arguments = ["render", "-f", file, "--format", "apisix-yaml", "--reveal-secrets", "--out", str(out)]
    assert main(arguments) == ExitCode.OK
    captured = capsys.readouterr()
    assert CANARY not in captured.out + captured.err
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    substituted(out.read_text())
    assert f"Bearer {CANARY}" in out.read_text()
    assert f"Bearer {KEY}" in out.read_text()
    assert "***" not in out.read_text()


def test_a_key_that_nobody_has_made_yet_is_not_revealed(file: str, tmp_path: Path, capsys: Captured) -> None:
    Path(file).write_text(FILE.replace(', key: "${env:KEY}"', ""))
    out = tmp_path / "apisix.yaml"
    assert main(["render", "-f", file, "--reveal-secrets", "--out", str(out)]) == ExitCode.ERROR
    assert "key web: has no text of its own" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("changed", "into", "expected"),
    [
        (
            "provider: handed",
            "provider: nobody",
            r":6:\d+: queues\.support\.members\[1\]\.provider: there is no provider",
        ),
        ("per: 1m", "refill_per_s: 5", r":7:\d+: queues\.support\.limits\[0\]"),
    ],
)
def test_what_cannot_be_rendered_alone_is_pointed_at(
    file: str, capsys: Captured, changed: str, into: str, expected: str
) -> None:
    Path(file).write_text(FILE.replace(changed, into, 1))
    assert main(["render", "-f", file]) == ExitCode.ERROR
    assert re.search(re.escape(file) + expected, capsys.readouterr().err)


def test_a_gateway_with_token_budget_takes_more(file: str, capsys: Captured) -> None:
    Path(file).write_text(FILE.replace("per: 1m", "refill_per_s: 5"))
    assert main(["render", "-f", file, "--token-budget"]) == ExitCode.OK
    assert '"token-budget"' in capsys.readouterr().out
