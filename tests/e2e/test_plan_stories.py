"""The stories of plan and apply on the embedded stack: every exit code, every refusal, every interruption."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from cli.exit_codes import ExitCode
from tests.fixtures.stack_process import ROOT, ctl, wait_for
from tests.fixtures.teams import CANARY, Team
from tests.fixtures.whole_stack import WholeStack, whole_stack

EVERYTHING_AT_ONCE = """
version: 1
source: platform-team

providers:
  - name: openai-main
    type: openai
    api_key: ${env:OPENAI_API_KEY}
    endpoint: https://api.openai.com/v1/chat/completions
    models:
      - {name: gpt-4o-mini, input_usd_per_mtok: 0.15, output_usd_per_mtok: 0.60, accuracy: 0.82}
    limits:
      - {tokens: 2_000_000, per: 1m}
  - {name: deepseek, type: deepseek, api_key: "${env:DEEPSEEK_API_KEY}"}

tenants:
  - {name: acme, subdomain: acme, tier: pro}

queues:
  - name: support
    tenant: acme
    balancer: roundrobin
    fallback: [rate_limiting, http_429, http_5xx]
    members:
      - {name: main, provider: openai-main, model: gpt-4o-mini, weight: 80, priority: 10,
         limits: [{tokens: 100_000, per: 1m}]}
      - {name: spare, provider: deepseek, model: deepseek-chat, weight: 20, priority: 0}
    limits:
      - {tokens: 500_000, per: 1h}
      - {requests: 600, per: 1m, by: key}
      - {concurrency: 32}
      - {tokens: 5000, refill_per_s: 25, by: "header:x-team-id"}
    guards: {required_headers: [x-request-id], deny_patterns: ["(?i)password"], max_output_tokens: 1024}

keys:
  - {name: acme-web, tenant: acme, queues: [support], limits: [{tokens: 50_000, per: 1m}]}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    with whole_stack(tmp_path_factory.mktemp("stories") / "home") as stack:
        with stack.api() as api:
            api.patch("/gateways/default", json={"drift": "report"}).raise_for_status()
        yield stack


@pytest.fixture
def team(world: WholeStack, tmp_path: Path, request: pytest.FixtureRequest) -> Team:
    name = request.node.name.removeprefix("test_").partition("_")[0]
    return Team(world, name, tmp_path)


def test_changes_are_planned_agreed_to_applied_and_then_there_is_nothing_to_do(team: Team) -> None:
    team.declares("a", "b")
    assert team.plan(ends=ExitCode.CHANGES)["summary"]["create"] == 3
    assert "--yes agrees" in team.ctl("apply", ends=ExitCode.REFUSED).stderr
    done = team.ctl("apply", "--yes", ends=ExitCode.OK)
    assert done.stdout == ""
    assert done.stderr.count("created") >= 7
    assert team.plan("--refresh", ends=ExitCode.OK)["changes"] == []
    markdown = team.declares("a", "b", tokens=50).ctl("plan", "-o", "markdown", ends=ExitCode.CHANGES).stdout
    assert "tightens the limit from 100 tokens per 1m to 50 tokens per 1m" in markdown


def test_errors_end_1_and_say_where(team: Team) -> None:
    team.declares("a")
    team.file.write_text(team.file.read_text().replace("model: m", "modle: m"))
    for verb in ("plan", "apply"):
        done = team.ctl(verb, ends=ExitCode.ERROR)
        assert done.stdout == ""
        assert f"{team.file}:" in done.stderr
        assert "did you mean model?" in done.stderr


def test_drift_ends_3_until_an_apply_undoes_it(team: Team) -> None:
    team.declares("a").ctl("apply", "--yes", ends=ExitCode.OK)
    with team.world.admin() as gateway:
        gateway.patch("routes/q.drift-a", json={"priority": 7}).raise_for_status()
    plan = team.plan("--refresh", ends=ExitCode.DRIFT)
    steps = [step for item in plan["gateways"] for step in item["steps"]]
    assert [(step["object"], step["verdict"]) for step in steps] == [("routes/q.drift-a", "drift")]
    done = ctl(team.world.stack.environ, "drift", "--heal", "--yes")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert "by hand: priority: 100 → 7" in done.stdout
    team.plan("--refresh", ends=ExitCode.OK)


@pytest.mark.parametrize("output", ["text", "json", "markdown"])
def test_codes_are_the_same_in_every_format(team: Team, tmp_path: Path, output: str) -> None:
    team = Team(team.world, f"codes-{output}", tmp_path)

    def planned(*more: str, ends: ExitCode) -> str:
        shown = team.ctl("plan", "-o", output, *more, ends=ends).stdout
        assert output != "json" or not shown or json.loads(shown)["format_version"] == 1
        return shown

    team.declares("a")
    assert team.name in planned(ends=ExitCode.CHANGES)
    team.ctl("apply", "--yes", ends=ExitCode.OK)
    planned(ends=ExitCode.OK)
    with team.world.admin() as gateway:
        route = f"routes/q.{team.name}-a"
        gateway.patch(route, json={"priority": 7}).raise_for_status()
        assert route in planned("--refresh", ends=ExitCode.DRIFT)
        gateway.patch(route, json={"priority": 100}).raise_for_status()
    team.file.write_text(f"source: {team.name}\n")
    assert "declares nothing" in planned("--prune", ends=ExitCode.REFUSED)
    team.file.write_text("queus: []\n")
    assert planned(ends=ExitCode.ERROR) == ""


def test_literals_of_secrets_are_refused_unless_they_are_asked_for(team: Team) -> None:
    for verb in ("plan", "apply"):
        done = ctl(team.world.stack.environ, verb, "-f", str(team.declares("a").file))
        assert done.returncode == ExitCode.ERROR
        assert "api_key is written out in the file" in done.stderr
        assert CANARY not in done.stdout + done.stderr


def test_another_source_s_objects_are_refused_and_left_as_they_are(team: Team, tmp_path: Path) -> None:
    team.declares("a").ctl("apply", "--yes", ends=ExitCode.OK)
    thief = Team(team.world, "thief", tmp_path)
    thief.file.write_text(team.file.read_text().replace("source: another", "source: thief"))
    for verb in ("plan", "apply"):
        done = thief.ctl(verb, ends=ExitCode.REFUSED)
        assert "belongs to source 'another', not to 'thief'" in done.stdout + done.stderr
    team.plan("--refresh", ends=ExitCode.OK)


def test_referenced_objects_are_not_pruned(team: Team, tmp_path: Path) -> None:
    team.declares("a", "b").ctl("apply", "--yes", ends=ExitCode.OK)
    user = Team(team.world, "user", tmp_path)
    user.file.write_text(
        'source: user\nkeys: [{name: user-of-b, key: "a-key-of-the-user", queues: [referenced-b]}]\n'
    )
    user.ctl("apply", "--yes", ends=ExitCode.OK)
    refused = team.declares("a").plan("--prune", ends=ExitCode.REFUSED)
    assert "user-of-b" in json.dumps(refused["refusals"])
    team.ctl("apply", "--prune", "--yes", ends=ExitCode.REFUSED)
    assert "routes/q.referenced-b" in team.objects()


def test_prunes_remove_what_is_theirs_and_not_more(team: Team, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(12)]
    team.declares(*names, tenants=[{"name": "prunes-kept", "protect": True}]).ctl(
        "apply", "--yes", ends=ExitCode.OK
    )
    others = Team(team.world, "neighbours", tmp_path)
    others.declares("a").ctl("apply", "--yes", ends=ExitCode.OK)
    team.declares(*names[:1])
    team.plan(ends=ExitCode.OK)
    refused = team.plan("--prune", ends=ExitCode.REFUSED)
    assert "would remove 11 of the 14 objects" in refused["refusals"][0]["message"]
    team.ctl("apply", "--prune", "--yes", ends=ExitCode.REFUSED)
    done = team.ctl("apply", "--prune", "--allow-mass-delete", "--yes", ends=ExitCode.OK)
    assert "tenant prunes-kept is protected" in done.stderr
    assert {path for path in team.objects() if path.startswith("routes/q.")} == {
        "routes/q.prunes-n0",
        "routes/q.prunes-n0.model",
    }
    assert "routes/q.neighbours-a" in others.objects()
    team.file.write_text("source: prunes\n")
    empty = team.plan("--prune", ends=ExitCode.REFUSED)
    assert "the file declares nothing" in empty["refusals"][0]["message"]
    assert "routes/q.prunes-n0" in team.objects()


def test_kept_plans_are_applied_exactly_or_not_at_all(team: Team, tmp_path: Path) -> None:
    kept = str(tmp_path / "plan.json")
    team.declares("a").plan("--out", kept, ends=ExitCode.CHANGES)
    assert CANARY not in Path(kept).read_text()
    team.ctl("apply", "--plan", kept, "--yes", ends=ExitCode.OK)
    done = team.ctl("apply", "--plan", kept, "--yes", ends=ExitCode.REFUSED)
    assert "the world has moved" in done.stderr
    team.declares("a", tokens=50).plan("--out", kept, ends=ExitCode.CHANGES)
    team.declares("a", tokens=60)
    done = team.ctl("apply", "--plan", kept, "--yes", ends=ExitCode.REFUSED)
    assert "is not what was planned" in done.stderr


def test_foreign_objects_stop_a_plan_until_they_are_adopted(team: Team) -> None:
    theirs = {"uri": "/theirs", "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:9": 1}}}
    with team.world.admin() as gateway:
        gateway.put("routes/q.foreign-a", json=theirs).raise_for_status()
        gateway.put("routes/foreign-other", json=theirs | {"uri": "/other"}).raise_for_status()
    refused = team.declares("a").plan(ends=ExitCode.REFUSED)
    assert "ctl adopt" in refused["refusals"][0]["remedy"]
    assert "routes/q.foreign-a" in team.ctl("adopt", "--yes", ends=ExitCode.OK).stdout
    team.ctl("apply", "--yes", ends=ExitCode.OK)
    with team.world.admin() as gateway:
        assert gateway.get("routes/foreign-other").json()["value"]["uri"] == "/other"
        assert "uris" in gateway.get("routes/q.foreign-a").json()["value"]


def test_unreachable_gateways_end_5_and_hold_up_no_other(team: Team) -> None:
    with team.world.api() as api:
        gone = {"name": "gone", "admin_url": "http://127.0.0.1:1", "admin_key": "k"}
        api.post("/gateways", json=gone).raise_for_status()
    try:
        done = team.declares("a").ctl("apply", "--yes", "--timeout", "3", ends=ExitCode.PARTLY_APPLIED)
        assert "gateway gone is" in done.stderr
        wait_for("the other gateway", lambda: "routes/q.unreachable-a" in team.objects())
    finally:
        with team.world.api() as api:
            api.delete("/gateways/gone").raise_for_status()
    team.ctl("apply", "--yes", ends=ExitCode.OK)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_commands_are_completed_by_the_next_one(team: Team, how: signal.Signals) -> None:
    team.declares(*(f"{how.name.lower()}{number}" for number in range(20)))
    command = [sys.executable, "-m", "cli", "apply", *team.options, "--yes"]
    with subprocess.Popen(
        command, cwd=ROOT, env=team.world.stack.environ, stderr=subprocess.DEVNULL
    ) as process:
        wait_for("the apply has begun or ended", lambda: team.objects() or process.poll() is not None)
        process.send_signal(how)
    team.ctl("apply", "--yes", ends=ExitCode.OK)
    team.plan("--refresh", ends=ExitCode.OK)
    assert f"routes/q.interrupted-{how.name.lower()}19" in team.objects()


@pytest.mark.parametrize("part", ["gateway", "service"])
def test_killed_parts_cost_nothing_but_time(team: Team, part: str) -> None:
    team.declares(*(f"{part}{number}" for number in range(20)))
    command = [sys.executable, "-m", "cli", "apply", *team.options, "--yes", "--timeout", "2"]
    with subprocess.Popen(
        command, cwd=ROOT, env=team.world.stack.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for("the apply has begun or ended", lambda: team.objects() or process.poll() is not None)
        restarts = team.world.stack.part(part).restarts
        os.kill(team.world.stack.pid(part), signal.SIGKILL)
        process.wait()
    wait_for(f"{part} is back", lambda: team.world.is_back(part, restarts))
    team.ctl("apply", "--yes", ends=ExitCode.OK)
    team.plan("--refresh", ends=ExitCode.OK)
    assert f"routes/q.killed-{part}19" in team.objects()


def test_everything_that_can_be_declared_goes_together_in_one_file(world: WholeStack, tmp_path: Path) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text(EVERYTHING_AT_ONCE.replace("https://api.openai.com", world.mock_url))
    environ = {**world.stack.environ, "OPENAI_API_KEY": CANARY, "DEEPSEEK_API_KEY": CANARY}
    planned = ctl(environ, "plan", "-f", str(file), "-o", "json")
    assert planned.returncode == ExitCode.CHANGES, planned.stdout + planned.stderr
    report = {line["path"]: line for line in json.loads(planned.stdout)["enforcement"]}
    assert len(report) == 7, "a line for each limit"
    account = report["providers.openai-main.limits[0]"]
    assert account["mechanism"] == "token-budget limit"
    assert "every queue with members of provider openai-main" in account["shared_with"]
    kept = tmp_path / "keys.json"
    applied = ctl(environ, "apply", "-f", str(file), "--yes", "--keys-out", str(kept))
    assert applied.returncode == ExitCode.OK, applied.stdout + applied.stderr
    assert ctl(environ, "plan", "-f", str(file), "--refresh").returncode == ExitCode.OK
    with world.traffic(json.loads(kept.read_text())["acme-web"]) as client:
        call = partial(
            client.post,
            "/queues/support/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "hi"}]},
        )
        assert call(headers={"x-request-id": "1"}).status_code == httpx.codes.OK
        assert call().status_code == httpx.codes.BAD_REQUEST, "without what it requires"
