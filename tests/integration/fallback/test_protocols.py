"""Calls by the packages that people use, through the gateway, to providers of each dialect."""

from typing import Any

import anthropic
import openai

from tests.integration.fallback.conftest import Bench

ANY = "/llm/*"


async def pool(bench: Bench, **instance: Any) -> None:
    """A route for every address of an SDK, in front of one member without a path of its own."""
    member = bench.instance(override={"endpoint": bench.mock.base_url}, **instance)
    await bench.put(
        "routes/llm",
        {
            "uri": ANY,
            "plugins": {
                "ai-proxy-multi": {"instances": [member]},
                "ai-rate-limiting": {"limit": 1000, "time_window": 60},
            },
        },
    )


def openai_client(bench: Bench) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{bench.gateway.url}/llm/v1", api_key="any", max_retries=0)


def anthropic_client(bench: Bench) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=f"{bench.gateway.url}/llm", api_key="any", max_retries=0)


async def test_openai_chat_responses_and_embeddings(bench: Bench) -> None:
    await pool(bench)
    async with openai_client(bench) as sdk:
        chat = await sdk.chat.completions.create(model="x", messages=[{"role": "user", "content": "hi"}])
        assert chat.choices[0].message.content == "Hello from mock"
        stream = await sdk.chat.completions.create(
            model="x", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].usage is not None
        response = await sdk.responses.create(model="x", input="hi")
        assert response.output_text == "Hello from mock"
        events = [event async for event in await sdk.responses.create(model="x", input="hi", stream=True)]
        assert events[-1].type == "response.completed"
        vectors = await sdk.embeddings.create(model="x", input=["a", "b"])
        assert len(vectors.data) == 2
    paths = [seen.path for seen in bench.mock.requests]
    assert paths == [
        "/v1/chat/completions",
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/responses",
        "/v1/embeddings",
    ]


async def test_every_protocol_is_charged(bench: Bench) -> None:
    await pool(bench)
    async with openai_client(bench) as sdk, anthropic_client(bench) as claude:
        await sdk.chat.completions.create(model="x", messages=[{"role": "user", "content": "hi"}])
        await sdk.responses.create(model="x", input="hi")
        async for _ in await sdk.responses.create(model="x", input="hi", stream=True):
            pass
        await sdk.embeddings.create(model="x", input="hi")
        async with claude.messages.stream(
            model="x", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        ) as stream:
            await stream.get_final_message()
        raw = await sdk.chat.completions.with_raw_response.create(
            model="x", messages=[{"role": "user", "content": "hi"}]
        )
    # Ten tokens each, but embeddings only read.
    assert raw.headers["x-ai-ratelimit-remaining-main"] == str(1000 - 10 - 10 - 10 - 5 - 10)


async def test_anthropic_messages_to_an_openai_provider_and_back(bench: Bench) -> None:
    await pool(bench)
    async with anthropic_client(bench) as sdk:
        message = await sdk.messages.create(
            model="x",
            max_tokens=16,
            system="be brief",
            messages=[{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            tools=[{"name": "look up!", "description": "d", "input_schema": {"type": "object"}}],
        )
        assert message.content[0].type == "text"
        assert message.usage.input_tokens == 5
    seen = bench.mock.requests[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.body["messages"][0] == {"role": "system", "content": "be brief"}
    assert seen.body["max_completion_tokens"] == 16
    assert seen.body["tools"][0]["function"]["name"].startswith("look_up_")
    assert not any(name.startswith(("anthropic-", "x-stainless-")) for name in seen.headers)


async def test_anthropic_messages_stay_as_they_are_for_anthropic(bench: Bench) -> None:
    await pool(bench, provider="anthropic", auth={"header": {"x-api-key": "sk-main"}})
    async with anthropic_client(bench) as sdk:
        message = await sdk.messages.create(
            model="x", max_tokens=16, messages=[{"role": "user", "content": "hi"}]
        )
        assert message.id == "msg_mock"
        async with sdk.messages.stream(
            model="x", max_tokens=16, messages=[{"role": "user", "content": "hi"}]
        ) as stream:
            final = await stream.get_final_message()
        assert final.usage.output_tokens == 5
    assert {seen.path for seen in bench.mock.requests} == {"/v1/messages"}
    assert bench.mock.requests[0].headers["x-api-key"] == "sk-main"


async def test_a_provider_that_does_not_speak_a_protocol_is_said_so(bench: Bench) -> None:
    await pool(bench, provider="deepseek")
    reply = await bench.client.post("/llm/v1/responses", json={"input": "hi"})
    assert reply.status_code == 400
    assert "does not support openai-responses protocol" in reply.text


async def test_the_output_cap_replaces_the_clients(bench: Bench) -> None:
    member = bench.instance(
        override={"endpoint": f"{bench.mock.base_url}/v1/chat/completions", "llm_options": {"max_tokens": 8}}
    )
    await bench.route({"ai-proxy-multi": {"instances": [member]}})
    await bench.call(body={"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5000})
    body = bench.mock.requests[0].body
    assert body["max_completion_tokens"] == 8
    assert "max_tokens" not in body
