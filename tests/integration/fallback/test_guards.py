"""Plugins that decide whether a request may go on, and those that change what it says."""

from typing import Any

import pytest

from tests.integration.fallback.conftest import CHAT, Bench


def said(*texts: str) -> dict[str, Any]:
    """A chat in which a user and an assistant take turns."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]}


async def key(bench: Bench, user: str) -> dict[str, str]:
    await bench.put(f"consumers/{user}", {"username": user, "plugins": {"key-auth": {"key": f"key-{user}"}}})
    return {"apikey": f"key-{user}"}


# Addresses.


@pytest.mark.parametrize(
    ("conf", "status"),
    [
        ({"whitelist": ["127.0.0.0/8"]}, 200),
        ({"whitelist": ["10.0.0.0/8", "::1"]}, 403),
        ({"blacklist": ["127.0.0.1"]}, 403),
        ({"blacklist": ["10.0.0.1"]}, 200),
        ({"blacklist": ["127.0.0.1"], "response_code": 404, "message": "go"}, 404),
    ],
)
async def test_addresses_are_let_in_or_not(bench: Bench, conf: dict[str, Any], status: int) -> None:
    await bench.route({"ip-restriction": conf})
    reply = await bench.call()
    assert reply.status_code == status
    if status != 200:
        assert reply.json() == {"message": conf.get("message", "Your IP address is not allowed")}


async def test_an_address_that_is_none_is_refused(bench: Bench) -> None:
    conf = {"ip-restriction": {"whitelist": ["1.2.3.4/99"]}}
    await bench.put("routes/r1", {"uri": "/", "plugins": conf}, status=400)


# Origins.

PREFLIGHT = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}


async def test_every_origin_is_allowed_unless_it_is_said_which(bench: Bench) -> None:
    await bench.route({"cors": {}}, methods=["POST", "OPTIONS"])
    reply = await bench.call(Origin="https://a.example")
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-max-age"] == "5"
    preflight = await bench.client.options(CHAT, headers=PREFLIGHT)
    assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (200, "*")
    assert not bench.mock.requests[1:]


async def test_only_the_origins_of_a_list_are_allowed(bench: Bench) -> None:
    await bench.route({"cors": {"allow_origins": "https://a.example,https://b.example", "max_age": 60}})
    reply = await bench.call(Origin="https://b.example")
    assert reply.headers["access-control-allow-origin"] == "https://b.example"
    assert reply.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in (await bench.call(Origin="https://c.example")).headers


async def test_origins_may_be_given_by_pattern_or_kept_in_the_metadata(bench: Bench) -> None:
    await bench.put("plugin_metadata/cors", {"allow_origins": {"ours": "https://ours.example"}})
    await bench.route({"cors": {"allow_origins_by_regex": [r"\.example$"]}})
    assert "access-control-allow-origin" in (await bench.call(Origin="https://x.example")).headers
    assert "access-control-allow-origin" not in (await bench.call(Origin="https://x.other")).headers
    await bench.route({"cors": {"allow_origins_by_metadata": ["ours"]}})
    allowed = (await bench.call(Origin="https://ours.example")).headers["access-control-allow-origin"]
    assert allowed == "https://ours.example"
    assert "access-control-allow-origin" not in (await bench.call(Origin="https://x.example")).headers


async def test_credentials_and_everything_at_once_is_refused(bench: Bench) -> None:
    conf = {"cors": {"allow_credential": True}}
    await bench.put("routes/r1", {"uri": "/", "plugins": conf}, status=400)
    await bench.route(
        {
            "cors": {
                "allow_credential": True,
                **dict.fromkeys(("allow_origins", "allow_methods", "allow_headers"), "**"),
            }
        },
        methods=["POST", "OPTIONS"],
    )
    headers = {**PREFLIGHT, "Access-Control-Request-Headers": "x-one"}
    reply = await bench.client.options(CHAT, headers=headers)
    assert reply.headers["access-control-allow-origin"] == "https://a.example"
    assert reply.headers["access-control-allow-headers"] == "x-one"
    assert reply.headers["access-control-allow-credentials"] == "true"


# Callers.


@pytest.mark.parametrize(
    ("conf", "status"),
    [
        ({"whitelist": ["ann"]}, 200),
        ({"whitelist": ["bob"]}, 403),
        ({"blacklist": ["ann"]}, 403),
        ({"blacklist": ["bob"]}, 200),
        ({"allowed_by_methods": [{"user": "ann", "methods": ["GET"]}]}, 403),
        ({"allowed_by_methods": [{"user": "ann", "methods": ["POST"]}]}, 200),
        ({"blacklist": ["ann"], "rejected_code": 418, "rejected_msg": "no"}, 418),
        ({"type": "route_id", "whitelist": ["r1"]}, 200),
        ({"type": "route_id", "blacklist": ["r1"]}, 403),
        ({"type": "consumer_group_id", "whitelist": ["g1"]}, 401),
    ],
)
async def test_callers_are_restricted_by_name_route_or_group(
    bench: Bench, conf: dict[str, Any], status: int
) -> None:
    headers = await key(bench, "ann")
    await bench.route({"key-auth": {}, "consumer-restriction": conf})
    assert (await bench.call(**headers)).status_code == status


# Shapes.


async def test_a_body_that_does_not_meet_the_schema_is_refused(bench: Bench) -> None:
    schema = {
        "type": "object",
        "required": ["messages"],
        "properties": {
            "messages": {"type": "array", "minItems": 1},
            "temperature": {"type": "number", "default": 0.5},
        },
    }
    await bench.route({"request-validation": {"body_schema": schema}})
    reply = await bench.call(body={"messages": []})
    assert (reply.status_code, reply.text) == (
        400,
        'property "messages" validation failed: expect array to have at least 1 items',
    )
    assert (
        await bench.client.post(CHAT, content=b"{", headers={"content-type": "application/json"})
    ).is_error
    assert (await bench.client.post(CHAT)).status_code == 400
    assert (await bench.call()).status_code == 200
    assert bench.mock.requests[-1].body["temperature"] == 0.5


async def test_headers_can_be_asked_for(bench: Bench) -> None:
    conf = {"header_schema": {"required": ["x-team"]}, "rejected_code": 422, "rejected_msg": "team?"}
    await bench.route({"request-validation": conf})
    reply = await bench.call()
    assert (reply.status_code, reply.text) == (422, "team?")
    assert (await bench.call(X_Team="a")).status_code == 200


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"properties": {"a": {"$ref": "#/x"}}}, {"pattern": "("}]
)
async def test_a_schema_that_cannot_be_followed_is_refused(bench: Bench, schema: dict[str, Any]) -> None:
    conf = {"request-validation": {"body_schema": schema}}
    await bench.put("routes/r1", {"uri": "/", "plugins": conf}, status=400)


# Prompts.


@pytest.mark.parametrize(
    ("conf", "texts", "status"),
    [
        ({"deny_patterns": ["secret"]}, ["the secret"], 400),
        ({"deny_patterns": ["secret"]}, ["the secret", "no", "then not"], 200),
        ({"deny_patterns": ["secret"], "match_all_conversation_history": True}, ["secret", "no", "ok"], 400),
        ({"deny_patterns": ["secret"], "match_all_conversation_history": True}, ["a", "secret", "ok"], 200),
        (
            {
                "deny_patterns": ["secret"],
                "match_all_conversation_history": True,
                "match_all_roles": True,
            },
            ["a", "secret", "ok"],
            400,
        ),
        ({"allow_patterns": ["^please"]}, ["please"], 200),
        ({"allow_patterns": ["^please"]}, ["do it"], 400),
    ],
)
async def test_prompts_are_judged_by_patterns(
    bench: Bench, conf: dict[str, Any], texts: list[str], status: int
) -> None:
    await bench.route({"ai-prompt-guard": conf})
    assert (await bench.call(body=said(*texts))).status_code == status


async def test_parts_of_a_message_are_looked_at_too(bench: Bench) -> None:
    await bench.route({"ai-prompt-guard": {"deny_patterns": ["secret"]}})
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "secret"}]
    reply = await bench.call(body={"messages": [{"role": "user", "content": parts}]})
    assert (reply.status_code, reply.json()) == (400, {"message": "Request contains prohibited content"})


@pytest.mark.parametrize(("mode", "status"), [("skip", 200), ("warn", 200), ("error", 400)])
async def test_what_is_no_prompt_passes_unless_it_must_be_one(bench: Bench, mode: str, status: int) -> None:
    await bench.route({"ai-prompt-guard": {"fail_mode": mode}})
    assert (await bench.call(body={"other": 1})).status_code == status


async def test_prompts_are_decorated_in_every_protocol(bench: Bench) -> None:
    first, last = {"role": "system", "content": "first"}, {"role": "user", "content": "last"}
    member = bench.instance(override={"endpoint": bench.mock.base_url})
    plugins = {
        "ai-proxy-multi": {"instances": [member]},
        "ai-prompt-decorator": {"prepend": [first], "append": [last]},
    }
    await bench.put("routes/r1", {"uri": "/*", "plugins": plugins})
    await bench.call("/v1/chat/completions")
    messages = bench.mock.requests[-1].body["messages"]
    assert messages == [first, {"role": "user", "content": "hi"}, last]
    await bench.call("/v1/responses", body={"input": "hi", "instructions": "be kind"})
    body = bench.mock.requests[-1].body
    assert (body["instructions"], body["input"]) == ("first\nbe kind", "hi\nlast")
    assert (await bench.client.post("/v1/chat/completions", content=b"no")).status_code == 400
