"""What is exported changes nothing when it is applied again, and no secret is in it."""

from pathlib import Path
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, File, declared, queue

RICH: dict[str, Any] = declared(  # Any: a declaration as users write it
    tiers=[
        {"name": "everything", "limits": [{"tokens": 9_000_000, "per": "1h"}]},
        {"name": "pro", "limits": [{"tokens": 9000, "per": "1h", "by": "team"}], "labels": {"sold": "yes"}},
    ],
    tenants=[{"name": "acme", "subdomain": "acme", "tier": "pro"}],
    providers=[
        {
            "name": "mock",
            "type": "openai",
            "api_key": PROVIDER_KEY,
            "models": [{"name": "m", "input_usd_per_mtok": 1e-7, "accuracy": 0.5}],
        },
        {"name": "resolved-there", "type": "deepseek", "api_key": "$env://DEEPSEEK_KEY"},
    ],
    queues=[
        queue(tenant="acme", labels={"team": "a"}, guards={"max_output_tokens": 64}, protect=True),
        queue("with-an-id", id="0b5c6c1e-6f0e-4d5a-9d5a-51c1ce0000aa", access="open", timeout_s=1.5),
    ],
    keys=[
        {"name": "web", "tenant": "acme", "key": CLIENT_KEY, "queues": ["support"]},
        {"name": "made-up", "queues": ["support"], "expires_at": "2100-01-31T12:00:00Z", "enabled": False},
    ],
)


async def test_an_export_plans_to_nothing_with_and_without_prune(
    ctl: Ctl, file: File, tmp_path: Path
) -> None:
    kept = tmp_path / "keys.json"
    await ctl("apply", *file.write(RICH), "--yes", "--keys-out", str(kept))
    code, out, _ = await ctl("export")
    assert code == ExitCode.OK
    assert PROVIDER_KEY not in out
    assert CLIENT_KEY not in out
    assert "api_key: $env://DEEPSEEK_KEY" in out
    assert "id: 0b5c6c1e-6f0e-4d5a-9d5a-51c1ce0000aa" in out
    exported = tmp_path / "exported.yaml"
    exported.write_text(out)
    for options in ((), ("--prune",)):
        code, plan, err = await ctl("plan", "-f", str(exported), *options)
        assert (code, plan.strip()) == (ExitCode.OK, "nothing to do"), plan + err
    assert (await ctl("apply", "-f", str(exported), "--yes", "--prune"))[0] == ExitCode.OK
    assert (await ctl("export"))[1] == out


async def test_with_env_each_secret_is_a_reference(
    ctl: Ctl, file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ctl("apply", *file.write(declared()), "--yes")
    code, out, err = await ctl("export", "--secrets", "env")
    assert code == ExitCode.OK
    assert "${env:MOCK_API_KEY}" in out
    assert "set WEB_KEY before this is applied" in err
    exported = tmp_path / "exported.yaml"
    exported.write_text(out)
    monkeypatch.setenv("MOCK_API_KEY", PROVIDER_KEY)
    monkeypatch.setenv("WEB_KEY", CLIENT_KEY)
    assert (await ctl("plan", "-f", str(exported), "--prune"))[0] == ExitCode.OK
    monkeypatch.setenv("MOCK_API_KEY", PROVIDER_KEY + "2")
    assert (await ctl("plan", "-f", str(exported)))[0] == ExitCode.CHANGES


async def test_each_source_has_a_file_of_its_own(ctl: Ctl, file: File, tmp_path: Path) -> None:
    await ctl("apply", *file.write(declared()), "--yes")
    await ctl("apply", *file.write({"source": "others", "tenants": [{"name": "acme"}]}), "--yes")
    code, out, err = await ctl("export")
    assert (code, out) == (ExitCode.ERROR, "")
    assert "several sources declare something: others, team" in err
    folder = tmp_path / "exported"
    assert (await ctl("export", "--folder", str(folder)))[0] == ExitCode.OK
    assert sorted(path.name for path in folder.iterdir()) == ["default.yaml", "others.yaml", "team.yaml"]
    assert "gateways:" in (folder / "default.yaml").read_text()
    for path in folder.iterdir():
        assert (await ctl("plan", "-f", str(path), "--prune"))[0] == ExitCode.OK
    code, _, err = await ctl("export", "--folder", str(folder))
    assert (code, "is there already" in err) == (ExitCode.ERROR, True)
    assert (await ctl("export", "--folder", str(folder), "--force"))[0] == ExitCode.OK
    assert "acme" in (await ctl("export", "--source", "others"))[1]


async def test_an_empty_system_exports_no_file(ctl: Ctl, world: World) -> None:
    async with world.api() as api:
        (await api.delete("/api/v1/gateways/edge")).raise_for_status()
    code, out, err = await ctl("export")
    assert (code, out) == (ExitCode.ERROR, "")
    assert "nothing is declared" in err
