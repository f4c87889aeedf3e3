"""`ctl plan` and `ctl apply` against the real service and a real gateway."""

import json
import re
import stat
from pathlib import Path

from cli.exit_codes import ExitCode
from controlplane.store.history import HistoryQuery
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, File, declared, queue

# Any: JSON.


async def test_a_plan_ends_0_with_nothing_to_do_and_2_with_changes_in_every_format(
    ctl: Ctl, file: File
) -> None:
    options = file.write(declared())
    for output in ("text", "json", "markdown"):
        code, out, _ = await ctl("plan", *options, "-o", output)
        assert code == ExitCode.CHANGES
        assert "support" in out
    assert (await ctl("apply", *options, "--yes"))[0] == ExitCode.OK
    for output in ("text", "json", "markdown"):
        code, _, _ = await ctl("plan", *options, "-o", output)
        assert code == ExitCode.OK
    code, out, _ = await ctl("plan", *options, "--refresh")
    assert (code, out.strip()) == (ExitCode.OK, "nothing to do")


async def test_a_plan_names_every_field_here_and_on_the_gateway(ctl: Ctl, file: File) -> None:
    await ctl("apply", *file.write(declared()), "--yes")
    options = file.write(declared(queues=[queue(tokens=200)]))
    _, out, _ = await ctl("plan", *options, "-o", "json")
    plan = json.loads(out)
    assert (plan["format_version"], plan["source"]) == (1, "team")
    (change,) = plan["changes"]
    assert change["fields"] == [
        {"field": "limits[0]", "before": "100 tokens per 1m", "after": "200 tokens per 1m"}
    ]
    assert change["warnings"] == ["loosens the limit from 100 tokens per 1m to 200 tokens per 1m"]
    (step,) = plan["gateways"][0]["steps"]
    assert (step["object"], step["verdict"]) == ("plugin_configs/q.support", "you changed it")
    field = "plugins.proxy-rewrite.headers.set.X-Sluice-Limit-Queue"
    assert step["fields"] == [{"field": field, "before": '"100"', "after": '"200"'}]
    assert [line["limit"] for line in plan["enforcement"]] == ["200 tokens per 1m", "5 requests per 1m"]


async def test_a_plan_says_how_limits_are_held_that_span_queues(ctl: Ctl, file: File) -> None:
    per_minute = {"tokens": 100, "per": "1m"}
    tenant = {"name": "acme", "limits": [per_minute, {"tokens": 9, "per": "1m", "by": "team"}]}
    key = {"name": "web", "key": CLIENT_KEY, "queues": ["support"], "limits": [per_minute]}
    options = file.write(declared(tenants=[tenant], keys=[key]))
    _, out, _ = await ctl("plan", *options, "-o", "json")
    held = {line["path"]: line for line in json.loads(out)["enforcement"] if line["queue"] is None}
    assert sorted(held) == ["keys.web.limits[0]", "tenants.acme.limits[0]", "tenants.acme.limits[1]"]
    assert {line["object"] for line in held.values()} == {"services/sluice.tokens"}
    assert held["keys.web.limits[0]"]["shared_with"] == "every call with key web"
    assert held["tenants.acme.limits[1]"]["shared_with"].endswith("one counter for each team")
    _, out, _ = await ctl("plan", *options)
    assert "keys.web.limits[0]" in out.partition("how the limits are enforced")[2]


async def test_a_plan_changes_nothing(ctl: Ctl, file: File, world: World) -> None:
    revisions = await world.store.history.page(HistoryQuery())
    await ctl("plan", *file.write(declared()))
    assert await world.store.history.page(HistoryQuery()) == revisions
    assert "routes/q.support" not in await world.objects()


async def test_an_edit_by_hand_is_drift_and_an_edit_of_both_sides_is_both(
    ctl: Ctl, file: File, world: World
) -> None:
    options = file.write(declared())
    await ctl("apply", *options, "--yes")
    await world.edit("routes/q.support", priority=7)
    code, out, _ = await ctl("plan", *options, "--refresh", "-o", "json")
    assert code == ExitCode.DRIFT
    (step,) = json.loads(out)["gateways"][0]["steps"]
    assert (step["verdict"], step["drift"]) == (
        "drift",
        [{"field": "priority", "before": "100", "after": "7"}],
    )
    changed = file.write(declared(queues=[queue(model="m2")]))
    code, out, _ = await ctl("plan", *changed, "-o", "json")
    assert code == ExitCode.DRIFT
    verdicts = {step["object"]: step["verdict"] for step in json.loads(out)["gateways"][0]["steps"]}
    assert verdicts == {"routes/q.support": "both", "routes/q.support.model": "you changed it"}


async def test_no_form_of_a_plan_shows_a_secret(ctl: Ctl, file: File, world: World, tmp_path: Path) -> None:
    shown: list[str] = []
    kept = tmp_path / "plan.json"
    endpoint = f"https://api.example.com/v1?key={PROVIDER_KEY}"
    account = {"name": "mock", "type": "openai", "api_key": PROVIDER_KEY, "endpoint": endpoint}
    options = file.write(declared(providers=[account]))

    async def look(*arguments: str) -> None:
        code, out, err = await ctl(*arguments)
        assert code != ExitCode.ERROR, err
        shown.extend((out, err))

    for output in ("text", "json", "markdown"):
        await look("plan", *options, "-o", output, "--out", str(kept))
    await look("apply", *options, "--yes")
    await world.edit("routes/q.support", labels={"note": "sk-canary-of-somebody-else"})
    others = [{**account, "api_key": "sk-canary-another-1", "endpoint": None}]
    options = file.write(declared(providers=others, keys=[{"name": "web", "key": "sk-canary-another-2-xxx"}]))
    for output in ("text", "json", "markdown"):
        await look("plan", *options, "-o", output, "--refresh")
        await look("drift", "-o", output)
    shown.append(kept.read_text())
    for text in shown:
        assert "canary" not in text
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


async def test_what_is_a_secret_by_its_name_is_masked_in_plans_the_history_and_the_audit(
    ctl: Ctl, file: File, world: World
) -> None:
    shown: list[str] = []

    async def look(*arguments: str) -> None:
        code, out, err = await ctl(*arguments)
        assert code != ExitCode.ERROR, err
        shown.extend((out, err))

    for number in (1, 2):
        headers = {"set": {"x-access-token": f"sk-canary-header-{number}", "x-client": f"sluice-{number}"}}
        rule = {
            "name": "weather",
            "path": "/weather",
            "target": "https://weather.example",
            "headers": headers,
        }
        endpoint = f"https://api.example.com/v1?key=sk-canary-query-{number}"
        account = {"name": "mock", "type": "openai", "api_key": PROVIDER_KEY, "endpoint": endpoint}
        options = file.write(declared(providers=[account], rules=[rule]))
        for output in ("text", "json", "markdown"):
            await look("plan", *options, "-o", output)
        await look("apply", *options, "--yes")
    async with world.api() as api:
        (newest, older) = (await api.get("/api/v1/revisions?limit=2")).json()["items"]
    for output in ("table", "json", "yaml"):
        for revisions in (("show", str(older["id"])), ("diff", str(older["id"]), str(newest["id"]))):
            await look(*revisions, "-o", output)
    await look("audit", "-o", "jsonl")
    assert "x-access-token: *** → *** (another secret)" in "".join(shown)
    assert "sluice-2" in "".join(shown)
    assert "canary" not in "".join(shown)


async def test_an_error_of_a_plan_shows_no_secret(ctl: Ctl, file: File) -> None:
    for broken in (
        declared(queues=[queue(provider=CLIENT_KEY.replace(".", "-"))]),
        declared(keys=[{"name": "web", "key": CLIENT_KEY, "queues": ["nobody"]}]),
        declared(providers=[{"name": "mock", "type": PROVIDER_KEY, "api_key": PROVIDER_KEY}]),
    ):
        code, out, err = await ctl("plan", *file.write(broken))
        assert code == ExitCode.ERROR
        assert PROVIDER_KEY not in out + err
    assert "there is no queue" not in err


async def test_a_plan_for_what_another_source_declares_is_refused(ctl: Ctl, file: File) -> None:
    await ctl("apply", *file.write(declared()), "--yes")
    code, out, _ = await ctl("plan", *file.write(declared(source="others")), "-o", "json")
    assert code == ExitCode.REFUSED
    refusal = json.loads(out)["refusals"][0]
    assert "belongs to source 'team'" in refusal["message"]
    at = re.fullmatch(rf"{re.escape(str(file.path))}:(\d+):\d+", refusal["at"])
    assert at is not None
    assert file.path.read_text().splitlines()[int(at[1]) - 1].startswith("- ")
    code, _, err = await ctl("apply", *file.options, "--yes")
    assert code == ExitCode.REFUSED
    assert f"refused: {refusal['at']}: {refusal['about']}: {refusal['message']}" in err


async def test_a_kept_plan_is_applied_exactly_or_not_at_all(
    ctl: Ctl, file: File, world: World, tmp_path: Path
) -> None:
    kept = tmp_path / "plan.json"
    literal = "--allow-literal-secrets"
    options = file.write(declared())
    await ctl("plan", *options, "--out", str(kept))
    code, _, err = await ctl("apply", "--plan", str(kept), "--yes", literal)
    assert code == ExitCode.OK, err
    assert "routes/q.support" in await world.objects()

    code, _, err = await ctl("apply", "--plan", str(kept), "--yes", literal)
    assert code == ExitCode.REFUSED
    assert "the world has moved" in err

    await ctl("plan", *file.write(declared(queues=[queue(tokens=200)])), "--out", str(kept))
    file.write(declared(queues=[queue(tokens=300)]))
    code, _, err = await ctl("apply", "--plan", str(kept), "--yes", literal)
    assert code == ExitCode.REFUSED
    assert "is not what was planned" in err


async def test_a_kept_plan_that_somebody_edited_is_refused(
    ctl: Ctl, file: File, world: World, tmp_path: Path
) -> None:
    kept = tmp_path / "plan.json"
    await ctl("plan", *file.write(declared()), "--out", str(kept))
    made = json.loads(kept.read_text())
    (gateway,) = made["gateways"]
    for edited in (
        {"changes": made["changes"][1:]},
        {"gateways": [{**gateway, "steps": gateway["steps"][:-1]}]},
        {"gateways": [{**gateway, "steps": None}]},
    ):
        kept.write_text(json.dumps({**made, **edited}))
        code, _, err = await ctl("apply", "--plan", str(kept), "--yes", "--allow-literal-secrets")
        assert code == ExitCode.REFUSED
        assert "somebody edited the plan" in err
    assert "routes/q.support" not in await world.objects()


async def test_a_kept_plan_is_refused_once_somebody_edits_the_gateway(
    ctl: Ctl, file: File, world: World, tmp_path: Path
) -> None:
    kept = tmp_path / "plan.json"
    await ctl("apply", *file.write(declared()), "--yes")
    await ctl("plan", *file.write(declared(queues=[queue(model="m2")])), "--out", str(kept))
    await world.edit("routes/q.support", priority=7)
    code, _, err = await ctl("apply", "--plan", str(kept), "--yes", "--allow-literal-secrets")
    assert code == ExitCode.REFUSED
    assert "by hand: priority: 100 → 7" in err


async def test_what_is_no_plan_is_told_apart(ctl: Ctl, file: File, tmp_path: Path) -> None:
    kept = tmp_path / "plan.json"
    options = file.write(declared())
    for text, expected in (
        ("", "is no plan"),
        ("{}", "is no plan"),
        ('{"format_version": 2}', "format version 2"),
        ('{"format_version": 1}', "is no whole plan"),
        (
            '{"format_version": 1, "fingerprint": "f", "document": "d", "options": {}, "files": [{}]}',
            "is no whole plan",
        ),
    ):
        kept.write_text(text)
        code, _, err = await ctl("apply", *options, "--plan", str(kept), "--yes")
        assert code == ExitCode.ERROR
        assert expected in err
