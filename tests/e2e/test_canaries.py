"""A stack that knows many secrets and meets every trouble: no log, file, process or answer shows one."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.fixtures.stack_process import ctl, wait_for
from tests.fixtures.whole_stack import WholeStack, whole_stack

PROVIDER_KEY = "sk-canary-provider-6601"
UNKNOWN_KEY = "sk-canary-of-nobody-6602"
PROMPT = "canary-of-what-a-client-says-6603"
REDIS_PASSWORD = "canary-redis-6604"
CHAT = "/queues/support/v1/chat/completions"
STACK_SECRETS = ("admin-token", "master-key", "fallback-admin-key", "postgres-password", "redis-password")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    folder: Path = tmp_path_factory.mktemp("canaries") / "home"
    with whole_stack(folder, SLUICE_LOG_LEVEL="debug") as stack:
        yield stack


@pytest.fixture(scope="module")
def planted(world: WholeStack) -> list[str]:
    """Every secret that the stack was told or has made up, after it has been used in every way."""
    first = world.declare(limits=[{"requests": 3, "per": "1h"}])
    with world.api() as api:
        api.patch("/providers/mock", json={"api_key": PROVIDER_KEY}).raise_for_status()
        second = api.post("/keys/key-of-support/rotate").json()["key"]
        api.post("/accounts", json={"name": "anna", "role": "viewer"}).raise_for_status()
        token = api.post("/accounts/anna/tokens", json={}).json()["text"]
        away = {"name": "away", "admin_url": "http://127.0.0.1:1", "admin_key": UNKNOWN_KEY}
        redis_url = f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"
        api.post("/gateways", json={**away, "redis_url": redis_url}).raise_for_status()
    world.wait_until_converged(world.newest_revision())
    session = _sign_in(world, token)
    _call(world, first, second, UNKNOWN_KEY)
    stack_secrets = [world.stack.secret(name) for name in STACK_SECRETS]
    return [*stack_secrets, PROVIDER_KEY, UNKNOWN_KEY, PROMPT, REDIS_PASSWORD, first, second, token, session]


def _sign_in(world: WholeStack, token: str) -> str:
    """A session; and what is refused, with secrets where none belongs."""
    url = f"http://127.0.0.1:{world.stack.port('service')}"
    with httpx.Client(base_url=url, timeout=20) as client:
        session = client.post("/auth/session", json={"token": token}).cookies["sluice_session"]
        assert client.post("/auth/session", json={"token": UNKNOWN_KEY}).status_code == 401
        for path in (f"/api/v1/queues?token={UNKNOWN_KEY}", f"/api/v1/queues/{UNKNOWN_KEY}", "/none"):
            headers = {"Authorization": f"Bearer {token}", "Cookie": f"sluice_session={session}"}
            assert client.get(path, headers=headers).status_code >= 400
    return session


def _call(world: WholeStack, *keys: str) -> None:
    """Calls that are answered, limited, refused and broken."""
    body = {"messages": [{"role": "user", "content": PROMPT}]}
    for key in keys:
        with world.traffic(key) as client:
            found = {client.post(CHAT, json=body).status_code for _ in range(4)}
            assert found <= {200, 401, 429}
            client.post(CHAT, json=body, headers={"X-Mock-Status": "500"})
            client.post(CHAT, content=PROMPT, headers={"x-api-key": key})
            client.get(f"/none/{key}?key={key}")
    admin = f"http://127.0.0.1:{world.stack.port('gateway_admin')}/apisix/admin/"
    bad = {"uri": "/x", "plugins": {"key-auth": {"key": UNKNOWN_KEY}, "limit-count": {"count": UNKNOWN_KEY}}}
    for key in (UNKNOWN_KEY, world.stack.secret("fallback-admin-key")):
        headers = {"X-API-KEY": key}
        assert httpx.put(f"{admin}routes/x", headers=headers, json=bad, timeout=20).status_code in (400, 401)


def test_no_log_and_no_file_beside_the_secrets_has_a_secret(world: WholeStack, planted: list[str]) -> None:
    home = world.stack.home
    wait_for("the trouble with a gateway is in the log", lambda: '"away"' in home.log("service").read_text())
    told = home.folder / "valkey" / "valkey.conf"  # how Valkey is told its password
    assert told.stat().st_mode & 0o077 == 0
    files = [path for path in home.folder.rglob("*") if path.is_file() and home.secrets not in path.parents]
    files.remove(told)
    assert {"service.log", "gateway.log", "stack.json"} <= {path.name for path in files}
    for path in files:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # a part has removed it meanwhile
        assert [secret for secret in planted if secret.encode() in content] == [], path


def test_no_process_shows_a_secret_to_others_on_the_machine(world: WholeStack, planted: list[str]) -> None:
    supervisor = world.stack.home.supervisor()
    assert supervisor is not None
    processes = [psutil.Process(supervisor), *psutil.Process(supervisor).children(recursive=True)]
    assert len(processes) > 4
    for process in processes:
        line = " ".join(process.cmdline())
        assert [secret for secret in planted if secret in line] == [], process.name()


def test_no_command_says_a_secret(world: WholeStack, planted: list[str]) -> None:
    for command in (
        *("status", "status -o json", "get gateways -o json", "get keys -o json", "get providers -o yaml"),
        *("describe queue support", "history", "audit -o jsonl", "export", "drift", "logs service"),
        *("logs gateway", "show 2", "diff 1", "whoami", "account list"),
    ):
        done = ctl(world.stack.environ, *command.split())
        said = done.stdout + done.stderr
        assert "Traceback" not in said, command
        assert [secret for secret in planted if secret in said] == [], command


def test_metrics_and_health_have_no_secret(world: WholeStack, planted: list[str]) -> None:
    service, admin = (f"http://127.0.0.1:{world.stack.port(part)}" for part in ("service", "gateway_admin"))
    token = {"Authorization": f"Bearer {world.stack.secret('admin-token')}"}
    said = {
        path: httpx.get(path, headers=token, timeout=20).text
        for path in (
            f"{service}/metrics",
            f"{service}/health/ready",
            f"{service}/api/openapi.json",
            f"{admin}/apisix/prometheus/metrics",
        )
    }
    said["state"] = json.dumps(json.loads(world.stack.home.state_file.read_text()))
    for where, text in said.items():
        assert text
        assert [secret for secret in planted if secret in text] == [], where
