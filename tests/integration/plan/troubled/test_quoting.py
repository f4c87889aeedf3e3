"""A gateway that quotes what it was sent, across the place where its words are cut: nobody sees a secret."""

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from cli.exit_codes import ExitCode
from tests.fixtures.troubled import TroubledAdmin
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World
from tests.integration.plan.conftest import File, declared
from tests.integration.plan.troubled.test_interrupted import SHORT, completes

PROVIDER_KEY = 'sk-"QzVwXk\\JrYpTd/HgNbLs%41MtPcBvRw'
CLIENT_KEY = "WqZxKvJpYtHgRmNbLsDf"
SECRETS = (PROVIDER_KEY, CLIENT_KEY, ADMIN_KEY)
WITH_SECRETS = ("consumers/", "routes/")
BEFORE_A_CUT = "word " * 90
COMMANDS = (
    *("status", "status -o json", "history", "audit -o jsonl", "drift", "drift -o json", "export"),
    *("get gateways -o json", "describe queue support", "describe gateway edge"),
)


def shown_of_secrets(text: str) -> list[str]:
    """What of the planted secrets, long enough to be recognised, is in a text."""
    runs = [secret[at : at + 6] for secret in SECRETS for at in range(len(secret) - 5)]
    return [run for run in runs if run in text]


def after(words: str, quoted: str, secret: str) -> str:
    """What is quoted, from shortly before the secret on, so that it lies across the place of the cut."""
    return words + quoted[max(0, quoted.find(secret[:3]) - 20) :]


def _in_error_msg(body: bytes, key: str, words: str) -> bytes:
    text = body.decode()
    secret = CLIENT_KEY if CLIENT_KEY in text else PROVIDER_KEY
    return json.dumps({"error_msg": after(words, text, secret) + key}).encode()


def _in_an_address(body: bytes, key: str, words: str) -> bytes:
    return after(words, quote(body.decode()), "sk-").encode() + quote(key).encode()


def _its_key(_: bytes, key: str, words: str) -> bytes:
    return f"{words} x-api-key: {key} is what was sent".encode()


@pytest.mark.parametrize(
    ("quoting", "words", "status"),
    [
        (_in_error_msg, BEFORE_A_CUT, 400),
        (_in_error_msg, BEFORE_A_CUT, 500),
        (_in_error_msg, "", 400),
        (_in_an_address, BEFORE_A_CUT, 400),
        (_its_key, BEFORE_A_CUT, 500),
    ],
)
async def test_nothing_that_anybody_sees_shows_a_secret_that_a_refusal_quotes(
    ctl: Ctl,
    admin: TroubledAdmin,
    file: File,
    world: World,
    status: int,
    words: str,
    quoting: Callable[[bytes, str, str], bytes],
) -> None:
    provider = {"name": "mock", "type": "openai", "api_key": PROVIDER_KEY}
    keys = [{"name": "web", "key": CLIENT_KEY, "queues": ["support"]}]
    options = file.write(declared(providers=[provider], keys=keys))
    admin.trouble = lambda method, path: status if method == "PUT" and path.startswith(WITH_SECRETS) else None
    admin.says = lambda _, body, key: quoting(body, key, words)
    said: dict[str, str] = {}
    with capture_logs() as logs:
        code, out, err = await ctl("apply", *options, *SHORT)
        assert code == ExitCode.PARTLY_APPLIED
        await world.in_state("degraded" if status == 400 else "unreachable")
        said["apply"] = out + err
        for output in ("text", "json", "markdown"):
            *_, out, err = await ctl("plan", *options, "--validate-on-gateway", "--refresh", "-o", output)
            said[f"plan -o {output}"] = out + err
        for command in COMMANDS:
            code, out, err = await ctl(*command.split())
            said[command] = out + err
        async with world.api() as api:
            for path in ("gateways", "gateways/edge", "status", "objects", "audit", "revisions"):
                said[path] = (await api.get(f"/api/v1/{path}")).text
            said["metrics"] = (await api.get("/metrics")).text
    said["log"] = repr(logs)
    async with world.store.database.connection() as connection:
        for table in ("inventory", "gateway_state", "audit", "revision"):
            said[table] = str(await connection.fetch(f'SELECT t::text FROM "{table}" t'))
    for where, text in said.items():
        assert text
        assert shown_of_secrets(text) == [], where
    assert "pass" in said["log"]
    assert str(status) in said["inventory"]
    await completes(ctl, admin, file, world)
