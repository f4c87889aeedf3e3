"""What the verbs print, where, and how they end."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.exit_codes import ExitCode
from cli.main import main
from tests.unit.cli.stand_in import StandIn, gateway, page, plan, planned_on, step

QUEUE = {
    "id": "2f1c1e1e-6f0e-4d5a-9d5a-51c1ce000001",
    "name": "support",
    "source": "team",
    "version": 7,
    "members": [{"name": "main", "provider": "mock", "model": "m", "weight": 1, "priority": 0}],
    "limits": [{"tokens": 200, "per": "1m", "by": None}],
}
CHANGE = {"kind": "queue", "name": "support", "action": "create", "fields": []}
NEW_KEY = {"kind": "key", "name": "web", "action": "create", "fields": []}
GATEWAYS = "GET gateways?limit=200"
PLAN = "POST plan"
APPLY = "POST apply?fingerprint=f1"
OBJECTS = "GET gateways/local/objects?limit=200"

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "queues.yaml"
    path.write_text(
        "queues:\n  - name: support\n    members: [{name: main, provider: mock}]\n"
        "keys:\n  - {name: web, queues: [support]}\n"
    )
    return str(path)


def applies(stand_in: StandIn, *changes: dict[str, Any], keys: tuple[dict[str, str], ...] = ()) -> None:
    stand_in.says(PLAN, plan(*changes))
    stand_in.says(APPLY, {"revision": 7, "changes": list(changes), "keys": list(keys)})


def test_apply_shows_the_changes_and_waits_for_every_gateway(
    stand_in: StandIn, file: str, capsys: Captured
) -> None:
    applies(stand_in, CHANGE)
    behind = page(gateway(revision=6))
    stand_in.says(GATEWAYS, behind, page(gateway("pending", 6)), page(gateway(revision=7)))
    assert main(["apply", "-f", file, "--yes"]) == ExitCode.OK
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "+ queue support" in captured.err
    assert "converged" in captured.err
    assert len(stand_in.bodies(GATEWAYS)) == 3
    assert stand_in.bodies(APPLY)[0]["keys"] == [{"name": "web", "queues": ["support"]}]


def test_apply_asks_first_and_without_a_terminal_does_nothing(
    stand_in: StandIn, file: str, capsys: Captured
) -> None:
    applies(stand_in, CHANGE)
    assert main(["apply", "-f", file]) == ExitCode.REFUSED
    assert "--yes" in capsys.readouterr().err
    assert stand_in.bodies(APPLY) == []


def test_apply_names_the_gateway_and_the_object_that_failed(
    stand_in: StandIn, file: str, capsys: Captured
) -> None:
    applies(stand_in, CHANGE)
    stand_in.says(PLAN, plan(CHANGE, gateways=[planned_on(step())]))
    stand_in.says(GATEWAYS, page(gateway("degraded", 6, "1 object failed")))
    failed = {
        "kind": "routes",
        "id": "q.support",
        "declared_by": "queue support",
        "state": "failed",
        "error": "unknown plugin",
        "hash": None,
    }
    stand_in.says(
        OBJECTS, page(failed, {**failed, "id": "q.sales"}, {**failed, "id": "x", "state": "applied"})
    )
    assert main(["apply", "-f", file, "--yes", "--timeout", "0.1"]) == ExitCode.PARTLY_APPLIED
    captured = capsys.readouterr()
    assert "gateway local is degraded: 1 object failed" in captured.err
    for line in ("local    routes/q.support  failed: unknown plugin", "local    routes/q.sales    failed"):
        assert captured.err.count(line) == 1


def test_apply_gives_up_on_a_gateway_that_does_not_come_along(
    stand_in: StandIn, file: str, capsys: Captured
) -> None:
    applies(stand_in, CHANGE)
    stand_in.says(GATEWAYS, page(gateway("converged", 6)))
    stand_in.says(OBJECTS, page())
    assert main(["apply", "-f", file, "--yes", "--timeout", "0.1"]) == ExitCode.PARTLY_APPLIED
    assert "not at revision 7 within 0.1 s" in capsys.readouterr().err


def test_made_up_keys_without_a_place_to_go_are_refused_before_anything_is_done(
    stand_in: StandIn, file: str, capsys: Captured
) -> None:
    applies(stand_in, NEW_KEY)
    assert main(["apply", "-f", file, "--yes"]) == ExitCode.REFUSED
    assert "--keys-out" in capsys.readouterr().err
    assert stand_in.bodies(APPLY) == []


def test_made_up_keys_have_no_place_beside_json(stand_in: StandIn, file: str, capsys: Captured) -> None:
    applies(stand_in, NEW_KEY)
    assert main(["apply", "-f", file, "--yes", "-o", "json"]) == ExitCode.REFUSED
    captured = capsys.readouterr()
    assert (captured.out, "--keys-out" in captured.err) == ("", True)
    assert stand_in.bodies(APPLY) == []


def test_made_up_keys_are_kept_in_a_file_of_their_owner_alone(
    stand_in: StandIn, file: str, tmp_path: Path, capsys: Captured
) -> None:
    applies(stand_in, NEW_KEY, keys=({"name": "web", "key": "sk-sluice-made-up"},))
    stand_in.says(GATEWAYS, page(gateway()))
    kept = tmp_path / "keys.json"
    assert main(["apply", "-f", file, "--yes", "--keys-out", str(kept)]) == ExitCode.OK
    assert json.loads(kept.read_text()) == {"web": "sk-sluice-made-up"}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    captured = capsys.readouterr()
    assert "sk-sluice-made-up" not in captured.out + captured.err
    stand_in.says(APPLY, {})
    assert main(["apply", "-f", file, "--yes", "--keys-out", str(kept)]) == ExitCode.ERROR
    assert json.loads(kept.read_text()) == {"web": "sk-sluice-made-up"}


def test_a_file_for_keys_is_gone_when_the_service_refuses(
    stand_in: StandIn, file: str, tmp_path: Path
) -> None:
    applies(stand_in, NEW_KEY)
    stand_in.says(APPLY, {"title": "Conflict", "detail": "it exists"}, status=409)
    assert main(["apply", "-f", file, "--yes", "--keys-out", str(tmp_path / "keys.json")]) == ExitCode.ERROR
    assert not (tmp_path / "keys.json").exists()


def test_problems_that_the_service_finds_are_led_back_to_the_file(
    stand_in: StandIn, file: str, capsys: Captured
) -> None:
    field = "queues.support.members[0].provider"
    problem = {"field": field, "message": "there is no provider mock", "remedy": "declare it"}
    stand_in.says(
        PLAN, {"title": "Invalid", "status": 422, "detail": "1 problem", "errors": [problem]}, status=422
    )
    assert main(["apply", "-f", file]) == ExitCode.ERROR
    assert f"{file}:3:28: {field}: there is no provider mock (declare it)" in capsys.readouterr().err


@pytest.mark.parametrize("status", [400, 401, 403, 422, 500])
def test_what_the_grammar_says_is_told_first_and_whole_whatever_the_service_answers(
    stand_in: StandIn, tmp_path: Path, capsys: Captured, status: int
) -> None:
    path = tmp_path / "queues.yaml"
    path.write_text("queues:\n  - name: support\n    membrs: []\nkeys: [{nam: web}]\n")
    stand_in.says(PLAN, {"title": "Refused", "status": status, "detail": "one mistake"}, status=status)
    for verb in ("plan", "apply"):
        assert main([verb, "-f", str(path)]) == ExitCode.ERROR
        error = capsys.readouterr().err
        assert f"{path}:3:5: queues.support.membrs: is no field that we know (did you mean members?)" in error
        assert f"{path}:4:9: keys[0].nam: is no field that we know (did you mean name?)" in error
        assert "one mistake" not in error


@pytest.mark.parametrize("value", [".nan", "1.0e+999", '"\\ud800"', "${env:ODD}"])
def test_what_json_has_no_form_for_is_refused_by_the_grammar(
    stand_in: StandIn, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ODD", "\udcff")
    path = tmp_path / "queues.yaml"
    path.write_text(f"tenants:\n  - {{name: acme, tier: {value}}}\n")
    stand_in.says(PLAN, {"title": "Refused", "status": 400, "detail": "no JSON"}, status=400)
    assert main(["plan", "-f", str(path)]) == ExitCode.ERROR
    assert f"{path}:2:" in capsys.readouterr().err


def test_an_unchanged_file_is_applied_without_a_question(
    stand_in: StandIn, file: str, capsys: Captured
) -> None:
    applies(stand_in)
    stand_in.says(GATEWAYS, page(gateway()))
    assert main(["apply", "-f", file]) == ExitCode.OK
    assert "nothing to change" in capsys.readouterr().err


def test_get_prints_json_alone_on_stdout(stand_in: StandIn, capsys: Captured) -> None:
    stand_in.says("GET queues?limit=200", page(QUEUE, next_cursor="c1"))
    stand_in.says("GET queues?limit=200&cursor=c1", page({**QUEUE, "name": "sales"}))
    assert main(["get", "queues", "-o", "json"]) == ExitCode.OK
    assert [queue["name"] for queue in json.loads(capsys.readouterr().out)] == ["support", "sales"]
    stand_in.says("GET queues/support", QUEUE)
    main(["get", "queue", "support", "-o", "json"])
    assert json.loads(capsys.readouterr().out) == QUEUE
    main(["get", "queue", "support", "-o", "yaml"])
    assert yaml.safe_load(capsys.readouterr().out) == QUEUE


def test_get_prints_a_table_of_limits_in_words(stand_in: StandIn, capsys: Captured) -> None:
    stand_in.says("GET queues?limit=200", page(QUEUE))
    main(["get", "queues"])
    headings, row = capsys.readouterr().out.splitlines()
    assert headings.split() == ["NAME", "ACCESS", "MEMBERS", "LIMITS", "SOURCE"]
    assert "200 tokens per 1m" in row


def test_a_gateway_has_its_status_and_shows_its_key_only_when_asked(
    stand_in: StandIn, capsys: Captured
) -> None:
    stand_in.says("GET gateways/local", {**gateway(), "admin_key": "***"})
    stand_in.says("GET gateways/local?show_secrets=true", {**gateway(), "admin_key": "its-key"})
    main(["get", "gateways", "local", "-o", "json"])
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"]["state"], shown["status"]["writes"], shown["admin_key"]) == (
        "converged",
        12,
        "***",
    )
    main(["get", "gateways", "local", "-o", "json", "--show-secrets"])
    assert json.loads(capsys.readouterr().out)["admin_key"] == "its-key"
    stand_in.says(GATEWAYS, page(gateway()))
    main(["get", "gateways", "-o", "json", "--show-secrets"])
    assert json.loads(capsys.readouterr().out)[0]["admin_key"] == "its-key"


def test_what_is_not_there_is_an_error_that_says_so(stand_in: StandIn, capsys: Captured) -> None:
    assert main(["get", "queues", "nobody/../x"]) == ExitCode.ERROR
    assert "no GET queues/nobody%2F..%2Fx" in capsys.readouterr().err


def test_a_new_key_is_alone_on_stdout_and_known_everywhere_before_the_command_ends(
    stand_in: StandIn, capsys: Captured
) -> None:
    made = {"name": "web", "key": "sk-sluice-made-up", "version": 7}
    stand_in.says("POST keys", made)
    stand_in.says(GATEWAYS, page(gateway(revision=6)), page(gateway(revision=7)))
    assert main(["keys", "create", "web", "--queue", "support", "--queue", "sales"]) == ExitCode.OK
    assert capsys.readouterr().out == "sk-sluice-made-up\n"
    assert stand_in.bodies("POST keys") == [{"name": "web", "queues": ["support", "sales"]}]
    assert len(stand_in.bodies(GATEWAYS)) == 2
    main(["keys", "create", "web", "--queue", "support", "-o", "json"])
    assert json.loads(capsys.readouterr().out)["key"] == "sk-sluice-made-up"


def test_describe_shows_where_each_limit_is_enforced(stand_in: StandIn, capsys: Captured) -> None:
    limit = {
        "queue": "support",
        "path": "limits[0]",
        "limit": "200 tokens per 1m",
        "mechanism": "ai-rate-limiting rule",
        "object": "services/levels",
        "shared_with": "all callers",
        "exactness": "checked before the call, charged after it",
        "worst_overshoot": "calls in flight × the largest call",
        "edit": "keeps what was used",
    }
    status = {"gateway": "local", "kind": "routes", "id": "q.support", "state": "applied", "error": None}
    stand_in.says("GET queues/support", QUEUE)
    stand_in.says("GET queues/support/enforcement", {"items": [limit]})
    local = {**gateway(), "traffic_url": "http://127.0.0.1:9080"}
    stand_in.says(GATEWAYS, page(local, {**local, "name": "off", "enabled": False}))
    stand_in.says("GET queues/support/objects", {"items": [status]})
    assert main(["describe", "queue", "support"]) == ExitCode.OK
    page_of_text = capsys.readouterr().out
    for expected in (
        "ai-rate-limiting rule",
        "services/levels",
        "routes/q.support",
        "applied",
        "http://127.0.0.1:9080/queues/support/v1",
    ):
        assert expected in page_of_text
    assert "off" not in page_of_text


def test_delete_asks_first_and_waits_for_every_gateway(stand_in: StandIn, capsys: Captured) -> None:
    stand_in.says("GET queues/support", QUEUE)
    stand_in.says("DELETE queues/support", None, status=204)
    assert main(["delete", "queue", "support"]) == ExitCode.REFUSED
    assert stand_in.bodies("DELETE queues/support") == []
    stand_in.says("GET revisions?limit=1", page({"id": 7}))
    stand_in.says(GATEWAYS, page(gateway(revision=6)), page(gateway(revision=7)))
    assert main(["delete", "queue", "support", "--yes"]) == ExitCode.OK
    assert "queue support is deleted" in capsys.readouterr().err
    assert len(stand_in.bodies(GATEWAYS)) == 2


def test_a_service_that_is_not_there_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, stand_in: StandIn
) -> None:
    monkeypatch.setenv("SLUICE_URL", "http://127.0.0.1:1")
    assert main(["get", "queues"]) == ExitCode.ERROR
    error = capsys.readouterr().err
    assert "http://127.0.0.1:1 cannot be reached" in error
    assert "ctl up" in error


def test_mistakes_are_told_without_a_service_too(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, stand_in: StandIn, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLUICE_URL", "http://127.0.0.1:1")
    path = tmp_path / "queues.yaml"
    path.write_text("queus: []\n")
    assert main(["plan", "-f", str(path)]) == ExitCode.ERROR
    assert f"{path}:1:1: queus: is no field that we know (did you mean queues?)" in capsys.readouterr().err


def test_the_token_of_this_machines_stack_goes_to_no_service_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "admin-token").write_text("local-token\n")
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path))
    monkeypatch.setenv("SLUICE_URL", "http://sluice.example.com")
    monkeypatch.delenv("SLUICE_TOKEN", raising=False)
    assert main(["get", "queues"]) == ExitCode.ERROR
    assert "there is no token for http://sluice.example.com" in capsys.readouterr().err


def test_validate_needs_no_service(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "queues.yaml"
    declared = "queues:\n  - name: support\n    members: [{name: main, provider: mock}]\n    limits:\n"
    file.write_text(declared + "      - {tokens: 5, per: 1m}\n")
    assert main(["validate", "-f", str(file)]) == ExitCode.OK
    file.write_text(declared + "      - {usd: 5, per: 1d}\n")
    assert main(["validate", "-f", str(file)]) == ExitCode.ERROR
    assert f"{file}:5:10: queues.support.limits[0].usd: money budgets" in capsys.readouterr().err
