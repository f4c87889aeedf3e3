"""Secrets of configurations that are kept in the environment, in Vault, at AWS and at Google."""

import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from controlplane.clock import ManualClock
from controlplane.fallback.http.exchange import Exchange
from controlplane.fallback.http.limits import Limits
from controlplane.fallback.http.server import Server
from tests.fixtures.services import until
from tests.integration.fallback.conftest import CHAT, Bench, running

ANN = "$secret://vault/1/keys/ann"
Answer = Callable[[Exchange, bytes], tuple[int, Any]]


class Manager:
    """A secret manager: what it was asked, and how it answers."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Exchange] = []
        self.answer: Answer = lambda exchange, body: (404, {"errors": []})

    async def handle(self, exchange: Exchange) -> None:
        body = await exchange.body(100_000)
        self.asked.append(exchange)
        status, value = self.answer(exchange, body)
        exchange.respond(status, [("Content-Type", "application/json")], json.dumps(value).encode())


@asynccontextmanager
async def listening() -> AsyncIterator[Manager]:
    manager = Manager()
    async with Server.listen(
        "127.0.0.1", 0, manager.handle, limits=Limits(), drain_s=0.1, setting="NONE"
    ) as server:
        manager.url = f"http://127.0.0.1:{server.port}"
        yield manager


@pytest.fixture
async def manager() -> AsyncIterator[Manager]:
    async with listening() as started:
        yield started


def vault_of(secrets: dict[str, Any]) -> Answer:
    return lambda exchange, body: (200, {"data": secrets})


async def with_key(bench: Bench, reference: str) -> str:
    """What a provider gets as its key where a route has a reference for it."""
    member = bench.instance(auth={"header": {"Authorization": reference}})
    await bench.put("routes/r1", {"uri": CHAT, "plugins": {"ai-proxy-multi": {"instances": [member]}}})
    return await sent_key(bench)


async def sent_key(bench: Bench) -> str:
    assert (await bench.call()).status_code == 200
    return dict(bench.mock.requests[-1].headers)["authorization"]


async def vault(bench: Bench, manager: Manager, **more: str) -> None:
    await bench.put("secrets/vault/1", {"uri": manager.url, "prefix": "kv/apisix", "token": "t0ken", **more})


async def test_a_secret_in_vault_is_there_with_the_write_that_names_it(
    bench: Bench, manager: Manager
) -> None:
    manager.answer = vault_of({"key": "sk-in-vault"})
    await vault(bench, manager, namespace="ours")
    assert await with_key(bench, "$secret://vault/1/openai/main/key") == "sk-in-vault"
    (asked,) = manager.asked
    assert asked.target == "/v1/kv/apisix/openai/main"
    assert asked.headers.get("x-vault-token") == "t0ken"
    assert asked.headers.get("x-vault-namespace") == "ours"
    shown = (await bench.admin.get("/apisix/admin/routes/r1")).text
    assert "sk-in-vault" not in shown
    assert "$secret://vault/1/openai/main/key" in shown


async def test_calls_do_not_ask_the_manager_again(bench: Bench, manager: Manager) -> None:
    manager.answer = vault_of({"key": "sk-in-vault"})
    await vault(bench, manager)
    await with_key(bench, "$secret://vault/1/main/key")
    for _ in range(3):
        await bench.call()
    assert len(manager.asked) == 1


@pytest.mark.parametrize(
    "reference",
    [
        "$secret://vault/1/main/other-field",
        "$secret://vault/2/main/key",
        "$secret://nobody/1/main/key",
        "$secret://vault/1",
        "$secret://vault/1/main",
        "$secret://",
    ],
)
async def test_a_reference_to_nothing_stays_as_it_is(bench: Bench, manager: Manager, reference: str) -> None:
    manager.answer = vault_of({"key": "sk-in-vault"})
    await vault(bench, manager)
    assert await with_key(bench, reference) == reference


async def test_a_manager_that_cannot_be_reached_holds_no_write_up_for_long(bench: Bench) -> None:
    await bench.put("secrets/vault/1", {"uri": "http://127.0.0.1:1", "prefix": "p", "token": "t"})
    reference = "$secret://vault/1/main/key"
    assert await with_key(bench, reference) == reference


async def test_a_manager_that_is_configured_anew_is_asked_anew(bench: Bench, manager: Manager) -> None:
    manager.answer = lambda exchange, body: (403, {"errors": ["permission denied"]})
    await vault(bench, manager, token="wrong")
    reference = "$secret://vault/1/main/key"
    assert await with_key(bench, reference) == reference
    manager.answer = vault_of({"key": "sk-at-last"})
    await vault(bench, manager)
    assert await sent_key(bench) == "sk-at-last"
    await bench.admin.delete("/apisix/admin/secrets/vault/1")
    assert await sent_key(bench) == reference


async def test_a_key_of_a_caller_may_be_in_vault(bench: Bench, manager: Manager) -> None:
    manager.answer = vault_of({"ann": "key-of-ann"})
    await vault(bench, manager)
    await bench.put("consumers", {"username": "ann"})
    await bench.put("consumers/ann/credentials/c", {"plugins": {"key-auth": {"key": ANN}}})
    await bench.route({"key-auth": {}})
    assert (await bench.call(apikey="key-of-ann")).status_code == 200
    assert (await bench.call(apikey=ANN)).status_code == 401


async def test_secrets_are_there_after_a_restart(tmp_path: Path, manager: Manager) -> None:
    manager.answer = vault_of({"ann": "key-of-ann"})
    async with running(tmp_path / "gateway") as bench:
        await vault(bench, manager)
        await bench.put("consumers", {"username": "ann", "plugins": {"key-auth": {"key": ANN}}})
        await bench.route({"key-auth": {}, "ip-restriction": {"whitelist": ["10.0.0.1"]}})
    for file in (tmp_path / "gateway").iterdir():
        assert b"key-of-ann" not in file.read_bytes()
    async with running(tmp_path / "gateway") as bench:
        assert (await bench.call(apikey="key-of-ann")).status_code == 403
        assert (await bench.call(apikey="another")).status_code == 401


async def test_a_field_of_a_variable_that_is_json_can_be_named(tmp_path: Path) -> None:
    environ = {"PLAIN": "sk-plain", "KEYS": '{"main": "sk-main", "number": 5}'}
    async with running(tmp_path / "gateway", environ=environ) as bench:
        assert await with_key(bench, "$env://PLAIN") == "sk-plain"
        assert await with_key(bench, "$ENV://KEYS/main") == "sk-main"
        assert await with_key(bench, "$env://KEYS/other") == "$env://KEYS/other"
        assert await with_key(bench, "$env://PLAIN/field") == "$env://PLAIN/field"
        assert await with_key(bench, "$env://NOBODY") == "$env://NOBODY"


async def test_a_secret_at_aws_is_asked_for_by_its_longest_name(bench: Bench, manager: Manager) -> None:
    def answer(exchange: Exchange, body: bytes) -> tuple[int, Any]:
        if json.loads(body)["SecretId"] == "team/openai":
            return 200, {"SecretString": '{"key": "sk-at-aws"}'}
        return 400, {"__type": "com.amazonaws#ResourceNotFoundException"}

    manager.answer = answer
    await bench.put(
        "secrets/aws/1",
        {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "s3cret", "endpoint_url": manager.url},
    )
    assert await with_key(bench, "$secret://aws/1/team/openai/key") == "sk-at-aws"
    assert len(manager.asked) == 2
    headers = manager.asked[0].headers
    assert headers.get("x-amz-target") == "secretsmanager.GetSecretValue"
    assert (headers.get("authorization") or "").startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "s3cret" not in str(list(headers.pairs()))


def account_at(manager: Manager) -> dict[str, str]:
    """A service account whose tokens the manager hands out."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "client_email": "gateway@example.com",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "project_id": "ours",
        "token_uri": f"{manager.url}/token",
        "entries_uri": manager.url,
    }


def tokens_that_last(seconds: int) -> Answer:
    """Every answer is another token."""
    numbers = itertools.count(1)
    return lambda exchange, body: (200, {"access_token": f"token-{next(numbers)}", "expires_in": seconds})


async def google_member(bench: Bench, manager: Manager) -> None:
    account = json.dumps(account_at(manager))
    member = bench.instance(auth={"gcp": {"service_account_json": account}})
    await bench.put("routes/r1", {"uri": CHAT, "plugins": {"ai-proxy-multi": {"instances": [member]}}})


async def test_a_member_at_google_is_called_with_a_token_that_is_kept_until_it_ends(
    tmp_path: Path, manager: Manager
) -> None:
    clock = ManualClock()
    async with running(tmp_path / "gateway", clock=clock) as bench:
        manager.answer = tokens_that_last(600)
        await google_member(bench, manager)
        assert [await sent_key(bench) for _ in range(3)] == 3 * ["Bearer token-1"]
        clock.advance(541)
        assert await sent_key(bench) == "Bearer token-2"
        assert len(manager.asked) == 2


async def test_a_member_at_google_whose_token_cannot_be_had_fails_alone(
    bench: Bench, manager: Manager
) -> None:
    manager.answer = lambda exchange, body: (403, {"error": "no"})
    await google_member(bench, manager)
    assert (await bench.call()).status_code == 500
    assert not bench.mock.requests
    manager.answer = tokens_that_last(600)
    assert await sent_key(bench) == "Bearer token-1"


async def test_a_service_account_that_is_none_is_refused(bench: Bench) -> None:
    member = bench.instance(auth={"gcp": {"service_account_json": "{not json"}})
    route = {"uri": CHAT, "plugins": {"ai-proxy-multi": {"instances": [member]}}}
    reply = await bench.put("routes/r1", route, status=400)
    assert "invalid gcp service_account_json" in reply.json()["error_msg"]


async def test_a_secret_at_google_is_asked_for_in_the_name_of_a_service_account(
    bench: Bench, manager: Manager
) -> None:
    def answer(exchange: Exchange, body: bytes) -> tuple[int, Any]:
        if exchange.target == "/token":
            return 200, {"access_token": "a-token", "expires_in": 3600}
        if exchange.headers.get("authorization") != "Bearer a-token":
            return 401, {}
        return 200, {"payload": {"data": base64.b64encode(b'{"key": "sk-at-google"}').decode()}}

    manager.answer = answer
    await bench.put("secrets/gcp/1", {"auth_config": account_at(manager)})
    assert await with_key(bench, "$secret://gcp/1/openai/key") == "sk-at-google"
    assert manager.asked[1].target == "/projects/ours/secrets/openai/versions/latest:access"


async def test_what_could_not_be_had_is_asked_for_again(tmp_path: Path, manager: Manager) -> None:
    clock = ManualClock()
    async with running(tmp_path / "gateway", clock=clock) as bench:
        manager.answer = lambda exchange, body: (503, {})
        await vault(bench, manager)
        reference = "$secret://vault/1/main/key"
        assert await with_key(bench, reference) == reference
        manager.answer = vault_of({"key": "sk-at-last"})
        clock.advance(61)

        async def had() -> bool:
            return await sent_key(bench) == "sk-at-last"

        await until(had, "the secret")
        manager.answer = lambda exchange, body: (503, {})
        clock.advance(301)
        asked = len(manager.asked)

        async def asked_again() -> bool:
            return len(manager.asked) > asked

        await until(asked_again, "another question")
        assert await sent_key(bench) == "sk-at-last"
