"""What others declared on a gateway becomes a file that can be applied beside it."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.exit_codes import ExitCode
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World

PROVIDER_KEY = "sk-canary-of-the-old-provider"
CLIENT_KEY = "sk-canary-of-the-old-client"

OBJECTS: dict[str, Any] = {  # Any: the JSON of a gateway
    "consumers": {"username": "web"},
    "consumers/web/credentials/main": {"plugins": {"key-auth": {"key": f"Bearer {CLIENT_KEY}"}}},
    "routes/chat": {
        "uri": "/chat",
        "plugins": {
            "key-auth": {},
            "ai-proxy-multi": {
                "instances": [
                    {
                        "name": "main",
                        "provider": "openai",
                        "weight": 1,
                        "auth": {"header": {"Authorization": f"Bearer {PROVIDER_KEY}"}},
                        "options": {"model": "m"},
                    }
                ]
            },
            "ai-rate-limiting": {"limit": 100, "time_window": 60, "rejected_code": 429},
            "limit-count": {"count": 7, "time_window": 60, "key": "consumer_name", "rejected_code": 429},
            "cors": {},
        },
    },
    "routes/other": {"uri": "/other", "upstream": {"nodes": {"127.0.0.1:1": 1}}},
}


@pytest.fixture
async def theirs(world: World) -> None:
    async with world.admin() as admin:
        for path, body in OBJECTS.items():
            (await admin.put(path, json=body)).raise_for_status()


@pytest.mark.usefixtures("theirs")
async def test_a_gateways_routes_are_imported_and_can_be_applied(
    ctl: Ctl, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "secrets.env"
    code, out, err = await ctl("import", "--from-gateway", "edge", "--secrets-out", str(kept))
    assert code == ExitCode.OK
    for canary in (PROVIDER_KEY, CLIENT_KEY, ADMIN_KEY):
        assert canary not in out + err
    declared = yaml.safe_load(out)
    assert declared["queues"] == [
        {
            "name": "chat",
            "members": [
                {
                    "name": "main",
                    "provider": "main",
                    "model": "m",
                    "weight": 1,
                    "limits": [{"tokens": 100, "per": "1m"}],
                }
            ],
            "timeout_s": 30.0,
            "limits": [{"requests": 7, "per": "1m", "by": "key"}],
        }
    ]
    assert declared["keys"] == [{"name": "web", "queues": ["chat"], "key": "${env:WEB_KEY}"}]
    for note in ("routes/other: is no route to an LLM", "routes/chat: the plugin cors is not carried over"):
        assert f"not carried over: {note}" in err
        assert f"# not carried over: {note}" in out
    assert "not looked at: global rules and consumer groups" in err
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for line in kept.read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    assert (os.environ["MAIN_API_KEY"], os.environ["WEB_KEY"]) == (PROVIDER_KEY, CLIENT_KEY)

    before = {path: body for path, body in (await world.objects()).items() if path.startswith("routes/")}
    file = tmp_path / "imported.yaml"
    file.write_text(out)
    # An APISIX holds the text of a key only once, which a note says.
    assert "consumers/web: a gateway holds a key's text only once" in err
    async with world.admin() as admin:
        (await admin.delete("consumers/web/credentials/main")).raise_for_status()
    code, _, err = await ctl("apply", "-f", str(file), "--yes")
    assert code == ExitCode.OK, err
    after = await world.objects()
    assert {path: after[path] for path in before} == before
    assert "routes/q.chat" in after
    assert (await ctl("plan", "-f", str(file), "--prune"))[0] == ExitCode.OK
    # What is ours by now is not imported again.
    again = yaml.safe_load((await ctl("import", "--from-gateway", "edge"))[1])
    assert (again["queues"], "keys" in again) == (declared["queues"], False)


@pytest.mark.usefixtures("theirs")
async def test_a_gateway_that_no_service_knows_is_read_by_its_url(
    ctl: Ctl, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{world.ports[1]}"
    monkeypatch.delenv("APISIX_ADMIN_KEY", raising=False)
    code, _, err = await ctl("import", "--from-gateway", url)
    assert (code, "APISIX_ADMIN_KEY is not set" in err) == (ExitCode.ERROR, True)
    monkeypatch.setenv("APISIX_ADMIN_KEY", ADMIN_KEY)
    code, out, _ = await ctl("import", "--from-gateway", url, "--source", "legacy")
    assert (code, yaml.safe_load(out)["source"]) == (ExitCode.OK, "legacy")
    monkeypatch.setenv("APISIX_ADMIN_KEY", "wrong")
    code, out, err = await ctl("import", "--from-gateway", url)
    assert (code, out) == (ExitCode.ERROR, "")
    assert "wrong" not in err
    taken = tmp_path / "taken"
    taken.write_text("mine")
    monkeypatch.setenv("APISIX_ADMIN_KEY", ADMIN_KEY)
    code, out, _ = await ctl("import", "--from-gateway", url, "--secrets-out", str(taken))
    assert (code, out, taken.read_text()) == (ExitCode.ERROR, "", "mine")
    assert (await ctl("import", "--from-gateway", "nobody"))[0] == ExitCode.ERROR
