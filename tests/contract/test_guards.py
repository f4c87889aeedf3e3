"""The guards of a queue let through on a gateway what was declared, and nothing else."""

from typing import Any

import httpx
import pytest

from tests.contract.declared import CHAT, HELLO, WEB, Declared, unique
from tests.fixtures.specs import member

# Any: JSON.

MESSAGES = "/queues/support/v1/messages"
RESPONSES = "/queues/support/v1/responses"
EMBEDDINGS = "/queues/support/v1/embeddings"
TO_MEMBERS = "/v1/chat/completions/queue/support"


async def guarded(declared: Declared, **guards: Any) -> None:
    await declared.declare(unique([], guards=guards))
    await declared.ready(CHAT)


def saying(*texts: str, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for text in texts]}


async def code(declared: Declared, body: Any = None, path: str = CHAT, **headers: str) -> int:
    return (await declared.call(path, body, **headers)).status_code


async def test_a_request_without_a_required_header_is_refused(declared: Declared) -> None:
    await guarded(declared, required_headers=["x-ticket"])
    assert [await code(declared), await code(declared, X_Ticket="1")] == [400, 200]


async def test_a_request_id_that_is_required_must_come_from_the_caller(declared: Declared) -> None:
    await guarded(declared, required_headers=["x-request-id"])
    assert [await code(declared), await code(declared, X_Request_Id="mine")] == [400, 200]


async def test_nothing_of_the_conversation_may_match_a_denied_pattern(declared: Declared) -> None:
    await guarded(declared, deny_patterns=["(?i)password"])
    assert await code(declared) == 200
    assert await code(declared, saying("My PassWord is x")) == 400
    assert await code(declared, saying("password", "and now something else")) == 400
    assert await code(declared, saying("the password", role="system")) == 400
    anthropic = {"model": "x", "max_tokens": 5, **saying("the password")}
    assert await code(declared, anthropic, MESSAGES) == 400
    assert await code(declared, {"model": "x", "input": "the password"}, RESPONSES) == 400
    assert await code(declared, {"model": "x", "input": "the password"}, EMBEDDINGS) == 400
    assert await code(declared, {"model": "x", "input": "hi"}, EMBEDDINGS) == 200


async def test_the_conversation_must_match_an_allowed_pattern(declared: Declared) -> None:
    await guarded(declared, allow_patterns=["^weather", "^traffic"])
    assert await code(declared, saying("weather in Rome")) == 200
    assert await code(declared, saying("tell me a joke")) == 400


async def test_a_system_prompt_is_said_before_everything_else(declared: Declared) -> None:
    await guarded(declared, system_prompt="Answer briefly.\nBe kind.")
    assert await code(declared) == 200
    seen = declared.target.mock.requests[-1].body
    assert [one["role"] for one in seen["messages"]] == ["system", "user"]
    assert seen["messages"][0]["content"] == "Answer briefly.\nBe kind."


async def test_only_the_listed_models_may_be_asked_for(declared: Declared) -> None:
    await guarded(declared, models=["gpt-4o-mini"])
    plain = "/v1/chat/completions"
    assert await code(declared) == 200
    assert await code(declared, {**HELLO, "model": "gpt-4o-mini"}) == 200
    assert await code(declared, {**HELLO, "model": "o9-pro"}) == 400
    assert await code(declared, {**HELLO, "model": "support"}, plain) == 200


async def test_an_answer_is_capped(declared: Declared) -> None:
    await guarded(declared, max_output_tokens=7)
    assert await code(declared, {**HELLO, "max_tokens": 500}) == 200
    assert declared.target.mock.requests[-1].body["max_completion_tokens"] == 7


async def test_a_body_that_is_too_large_is_refused(declared: Declared) -> None:
    await guarded(declared, max_body_bytes=500)
    assert await code(declared) == 200
    assert await code(declared, saying("x" * 600)) == 413


@pytest.mark.parametrize("guard", [{"deny_patterns": ["zzz"]}, {"models": ["a"]}, {"system_prompt": "Hi."}])
async def test_a_large_body_is_refused_by_whichever_guard_reads_it_first(
    declared: Declared, guard: dict[str, Any]
) -> None:
    await guarded(declared, max_body_bytes=500, **guard)
    assert await code(declared, saying("x" * 600)) in (400, 413)


@pytest.mark.parametrize(
    ("guards", "wanted"),
    [
        ({"allow_ips": ["127.0.0.0/8", "::1"]}, 200),
        ({"allow_ips": ["203.0.113.7"]}, 403),
        ({"deny_ips": ["127.0.0.1", "::1"]}, 403),
        ({"deny_ips": ["203.0.113.0/24"]}, 200),
    ],
)
async def test_addresses_are_let_in_or_kept_out(declared: Declared, guards: Any, wanted: int) -> None:
    await guarded(declared, **guards)
    assert await code(declared) == wanted


async def test_a_page_of_an_allowed_origin_may_call(declared: Declared) -> None:
    cors = {"origins": ["https://app.example"], "headers": ["authorization"], "credentials": True}
    await guarded(declared, cors=cors)
    before = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    preflight = await declared.client.options(CHAT, headers=before)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert preflight.headers["access-control-allow-credentials"] == "true"
    assert (await declared.call(CHAT, Origin="https://app.example")).headers[
        "access-control-allow-origin"
    ] == "https://app.example"
    foreign = await declared.call(CHAT, Origin="https://evil.example")
    assert "access-control-allow-origin" not in foreign.headers
    refused: httpx.Response = await declared.call(CHAT, key=None, Origin="https://app.example")
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (
        401,
        "https://app.example",
    )


async def asked_of_the_provider(declared: Declared, path: str, **asked: Any) -> dict[str, Any]:
    """What the provider is asked for as the most that it may say."""
    body = {**HELLO, **({"input": "hi"} if path.endswith("responses") else {}), **asked}
    assert await code(declared, body, path) == 200
    sent = declared.target.mock.requests[-1].body
    return {name: sent[name] for name in sent if name.startswith("max_")}


async def test_a_client_that_asks_for_less_than_the_cap_gets_what_it_asks_for(declared: Declared) -> None:
    await guarded(declared, max_output_tokens=100)
    for path in (CHAT, "/v1/chat/completions/queue/support/main"):
        assert await asked_of_the_provider(declared, path, max_tokens=7) == {"max_tokens": 7}
        assert await asked_of_the_provider(declared, path, max_completion_tokens=100) == {
            "max_completion_tokens": 100
        }
    assert await asked_of_the_provider(declared, RESPONSES, max_output_tokens=7) == {"max_output_tokens": 7}
    assert await asked_of_the_provider(declared, MESSAGES, max_tokens=7) == {"max_completion_tokens": 7}
    by_model = {"model": "support", "max_tokens": 7}
    assert await asked_of_the_provider(declared, "/v1/chat/completions", **by_model) == {"max_tokens": 7}


@pytest.mark.parametrize(
    "asked",
    [
        *(
            {},
            {"max_tokens": 101},
            {"max_completion_tokens": 10**9},
            {"max_tokens": None},
            {"max_tokens": [5]},
        ),
        *({"max_tokens": 5, "max_completion_tokens": 500}, {"max_output_tokens": 5}, {"max_tokens": "all"}),
    ],
)
async def test_whoever_asks_for_more_or_for_nothing_gets_the_cap(
    declared: Declared, asked: dict[str, Any]
) -> None:
    await guarded(declared, max_output_tokens=100)
    sent = await asked_of_the_provider(declared, CHAT, **asked)
    assert sent["max_completion_tokens"] == 100
    assert "max_tokens" not in sent


async def pooled(declared: Declared, *kinds: str, **parts: Any) -> None:
    """A queue with a cap, and a member at a provider of each of these kinds, the first asked first."""
    endpoint = f"http://{declared.target.mock_address}"
    providers = [{"name": kind, "type": kind, "endpoint": endpoint} for kind in kinds]
    members = [
        member(name=f"at-{kind}", provider=kind, priority=-number) for number, kind in enumerate(kinds)
    ]
    capped = unique([], members=members, guards={"max_output_tokens": 100}, **parts)
    await declared.declare(capped, providers=providers)
    await declared.ready(CHAT)


@pytest.mark.parametrize(
    ("kinds", "path", "asked", "sent"),
    [
        (["deepseek"], CHAT, {"max_tokens": 7}, {"max_tokens": 7}),
        (["deepseek"], CHAT, {}, {"max_tokens": 100}),
        (["deepseek"], CHAT, {"max_tokens": 101, "max_completion_tokens": 5}, {"max_tokens": 100}),
        (["deepseek"], CHAT, {"max_completion_tokens": 5}, {"max_tokens": 100}),
        (["gemini"], CHAT, {"max_completion_tokens": 7}, {"max_completion_tokens": 7}),
        (["gemini"], CHAT, {"max_tokens": 7}, {"max_completion_tokens": 100}),
        (["openai-compatible"], RESPONSES, {"max_output_tokens": 7}, {"max_output_tokens": 7}),
        (["openai-compatible"], RESPONSES, {"max_output_tokens": 101}, {"max_output_tokens": 100}),
        (["openai-compatible"], RESPONSES, {"max_tokens": 7}, {"max_tokens": 7, "max_output_tokens": 100}),
        (["anthropic"], MESSAGES, {"max_tokens": 7}, {"max_tokens": 7}),
        (["anthropic"], MESSAGES, {"max_tokens": 101}, {"max_tokens": 100}),
        (["openai"], MESSAGES, {"max_tokens": 101}, {"max_completion_tokens": 100}),
        (["deepseek"], MESSAGES, {"max_tokens": 7}, {"max_tokens": 100}),
        (["openai", "deepseek"], CHAT, {"max_tokens": 7}, {"max_completion_tokens": 100}),
        (["deepseek", "openai"], CHAT, {"max_tokens": 7}, {"max_tokens": 100}),
        (["deepseek", "openai"], f"{TO_MEMBERS}/at-openai", {"max_tokens": 7}, {"max_tokens": 7}),
        (["deepseek", "openai"], f"{TO_MEMBERS}/at-deepseek", {"max_tokens": 7}, {"max_tokens": 7}),
        (["openai", "deepseek"], f"{TO_MEMBERS}/at-deepseek", {}, {"max_tokens": 100}),
        (["openai", "deepseek"], "/v1/chat/completions", {"max_tokens": 7}, {"max_completion_tokens": 100}),
    ],
)
async def test_each_kind_of_provider_is_told_the_cap_in_the_field_that_it_reads(
    declared: Declared, kinds: list[str], path: str, asked: dict[str, int], sent: dict[str, int]
) -> None:
    await pooled(declared, *kinds)
    named = {} if path in (CHAT, MESSAGES) else {"model": "support"}
    assert await asked_of_the_provider(declared, path, **named, **asked) == sent


async def test_a_request_that_both_kinds_of_members_read_is_left_as_it_is(declared: Declared) -> None:
    await pooled(declared, "openai", "deepseek")
    asked = {"max_tokens": 7, "max_completion_tokens": 9}
    assert await asked_of_the_provider(declared, CHAT, **asked) == asked


BOTH = {"max_tokens": 7, "max_completion_tokens": 9}


@pytest.mark.parametrize(
    ("asked", "first", "second"),
    [
        ({"max_tokens": 500}, {"max_completion_tokens": 100}, {"max_tokens": 100}),
        (BOTH, BOTH, BOTH),
    ],
)
async def test_a_member_that_is_asked_in_the_place_of_another_has_the_cap_too(
    declared: Declared, asked: dict[str, int], first: dict[str, int], second: dict[str, int]
) -> None:
    await pooled(declared, "openai", "deepseek", fallback=["http_5xx"])
    declared.target.mock.set_defaults(prefix="/v1/chat/completions", status=500, times=1)
    assert await asked_of_the_provider(declared, CHAT, **asked) == second
    sent = declared.target.mock.requests[-2].body
    assert {name: sent[name] for name in sent if name.startswith("max_")} == first


async def test_a_cap_goes_with_a_system_prompt_and_leaves_the_rest_of_a_body_alone(
    declared: Declared,
) -> None:
    await guarded(declared, max_output_tokens=100, system_prompt="Be kind.")
    odd = {"stop": [], "metadata": {}, "seed": 2**40, "temperature": 0.25, "user": "ü"}
    assert await asked_of_the_provider(declared, CHAT, max_tokens=500, **odd) == {
        "max_completion_tokens": 100
    }
    seen = declared.target.mock.requests[-1].body
    assert {name: seen[name] for name in odd} == odd
    assert [one["role"] for one in seen["messages"]] == ["system", "user"]


async def test_a_body_that_is_no_json_or_too_large_is_refused_as_without_a_cap(declared: Declared) -> None:
    await guarded(declared, max_output_tokens=100, max_body_bytes=2000)
    assert await code(declared, saying("x" * 3000)) == 413
    assert await code(declared, ["no object"]) == 400
    reply = await declared.client.post(
        CHAT, content=b"{", headers={"Authorization": f"Bearer {WEB}", "Content-Type": "application/json"}
    )
    assert reply.status_code == 400


async def test_the_smallest_cap_of_the_members_is_what_a_client_may_ask_for(declared: Declared) -> None:
    members = [member(max_output_tokens=50), member(name="big", weight=0)]
    await declared.declare(unique([], members=members, guards={"max_output_tokens": 100}))
    await declared.ready(CHAT)
    assert await asked_of_the_provider(declared, CHAT, max_tokens=50) == {"max_tokens": 50}
    assert await asked_of_the_provider(declared, CHAT, max_tokens=51) == {"max_completion_tokens": 50}
