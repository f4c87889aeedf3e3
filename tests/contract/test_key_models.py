"""A key that allows only some models is answered by no other, by whatever address it calls."""

from typing import Any

import pytest

from tests.contract.declared import HELLO, OTHER, WEB, Declared, unique
from tests.fixtures.specs import member

# Any: JSON.

ALLOWED, FORBIDDEN = "gpt-4o-mini", "gpt-4o"
OPEN = unique([], name="open", members=[member(model=None)])
FIXED = unique([], name="fixed", members=[member(model=ALLOWED)])
KEYS = [
    {"name": "web", "queues": ["open", "fixed"], "providers": ["openai-main"], "models": [ALLOWED]},
    {"name": "other", "queues": ["open", "fixed"], "providers": ["openai-main"]},
]
ADDRESSES: dict[str, dict[str, Any]] = {
    "/queues/open/v1/chat/completions": {},
    "/queues/open/v1/responses": {"input": "hi"},
    "/queues/open/v1/embeddings": {"input": "hi"},
    "/queues/open/v1/messages": {"max_tokens": 5},
    "/v1/chat/completions/queue/open": {},
    "/v1/chat/completions/queue/open/main": {},
    "/v1/chat/completions/queue/open/openai": {},
    "/v1/chat/completions/openai-main": {},
}


@pytest.fixture
async def keys(declared: Declared) -> Declared:
    await declared.declare(OPEN, FIXED, keys=KEYS)
    await declared.ready("/v1/chat/completions/openai-main")
    return declared


async def asked(declared: Declared, path: str, model: Any, key: str = WEB, **headers: str) -> int:
    body = {**HELLO, **ADDRESSES.get(path, {}), **({} if model is None else {"model": model})}
    return (await declared.call(path, body, key=key, **headers)).status_code


@pytest.mark.parametrize("path", ADDRESSES)
async def test_an_allowed_model_is_answered_and_every_other_is_refused(keys: Declared, path: str) -> None:
    assert await asked(keys, path, ALLOWED) == 200
    for model in (FORBIDDEN, None, "open", "", [ALLOWED], {"name": ALLOWED}, 7):
        assert await asked(keys, path, model) == 403, model
    assert await asked(keys, path, FORBIDDEN, OTHER) == 200


async def test_the_refusal_says_what_is_wrong(keys: Declared) -> None:
    reply = await keys.call("/queues/open/v1/chat/completions", {**HELLO, "model": FORBIDDEN})
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.json()["error"]["code"] == "model_not_allowed"


async def test_the_queue_s_name_as_the_model_picks_the_queue_and_no_model(keys: Declared) -> None:
    assert await asked(keys, "/v1/chat/completions", "open") == 403
    assert await asked(keys, "/v1/chat/completions", "open", OTHER) == 200
    assert await asked(keys, "/v1/chat/completions", "fixed") == 200


async def test_where_the_members_name_their_models_it_does_not_matter_what_is_asked_for(
    keys: Declared,
) -> None:
    for model in (FORBIDDEN, ALLOWED, None):
        assert await asked(keys, "/queues/fixed/v1/chat/completions", model) == 200


async def test_nobody_talks_the_check_away_with_headers(keys: Declared) -> None:
    path = "/queues/open/v1/chat/completions"
    fixed = FIXED["id"].replace("-", "")
    for headers in (
        {"X_Sluice_Queue": fixed},
        {"x__sluice__queue": fixed},
        {"Content_Type": "application/json; charset=utf-8"},
    ):
        assert await asked(keys, path, FORBIDDEN, **headers) == 403
    for kind in ("application/x-www-form-urlencoded", "text/plain"):
        assert await asked(keys, path, FORBIDDEN, Content_Type=kind) in (400, 403)


async def test_a_model_that_is_written_twice_is_read_as_the_provider_s_request_has_it(
    keys: Declared,
) -> None:
    path = "/queues/open/v1/chat/completions"
    reply = await keys.client.post(
        path,
        content=b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}],"model":"gpt-4o"}',
        headers={"Authorization": f"Bearer {WEB}", "Content-Type": "application/json"},
    )
    assert reply.status_code == 403
