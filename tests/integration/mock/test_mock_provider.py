"""The mock provider answers as OpenAI and Anthropic do, and does what it is told."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator

import anthropic
import httpx
import openai
import pytest

from controlplane.embedded.mock import MockProvider
from controlplane.errors import InvalidSpec, Unavailable

CHAT = "/v1/chat/completions"
HELLO = {"model": "gpt-x", "messages": [{"role": "user", "content": "two words"}]}


@pytest.fixture
async def mock() -> AsyncIterator[MockProvider]:
    async with MockProvider.start() as started:
        yield started


@pytest.fixture
async def client(mock: MockProvider) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=mock.base_url, timeout=60) as started:
        yield started


def events(text: str) -> list[str]:
    return [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]


async def wait_for_disconnects(mock: MockProvider, count: int) -> None:
    async with asyncio.timeout(60):
        while len(mock.disconnects) < count:
            await asyncio.sleep(0.005)


async def test_chat_counts_the_words_when_nothing_else_is_asked(client: httpx.AsyncClient) -> None:
    reply = (await client.post(CHAT, json=HELLO)).json()
    assert reply["choices"][0]["message"]["content"] == "Hello from mock"
    assert reply["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


async def test_any_path_prefix_is_answered_and_remembered(
    mock: MockProvider, client: httpx.AsyncClient
) -> None:
    await client.post("/main/v1/chat/completions?x=1", json=HELLO, headers={"Authorization": "Bearer sk-1"})
    (seen,) = mock.requests
    assert (seen.method, seen.path, seen.body) == ("POST", "/main/v1/chat/completions?x=1", HELLO)
    assert seen.headers["authorization"] == "Bearer sk-1"


@pytest.mark.parametrize(
    ("headers", "usage"),
    [
        ({"X-Mock-Usage": "10"}, (5, 5, 10)),
        ({"X-Mock-Usage": "7,20"}, (7, 20, 27)),
        ({"X-Mock-Prompt-Tokens": "3", "X-Mock-Completion-Tokens": "9"}, (3, 9, 12)),
    ],
)
async def test_a_header_sets_the_usage(
    client: httpx.AsyncClient, headers: dict[str, str], usage: tuple[int, int, int]
) -> None:
    reply = (await client.post(CHAT, json=HELLO, headers=headers)).json()
    assert tuple(reply["usage"].values()) == usage


async def test_the_models_name_sets_the_usage_and_a_header_overrides_it(client: httpx.AsyncClient) -> None:
    asked = {**HELLO, "model": "m-tok10"}
    assert (await client.post(CHAT, json=asked)).json()["usage"]["total_tokens"] == 10
    reply = await client.post(CHAT, json=asked, headers={"X-Mock-Usage": "30"})
    assert reply.json()["usage"]["total_tokens"] == 30


async def test_a_reply_can_be_without_usage(client: httpx.AsyncClient) -> None:
    assert "usage" not in (await client.post(CHAT, json=HELLO, headers={"X-Mock-No-Usage": "1"})).json()


async def test_a_429_says_when_to_retry(client: httpx.AsyncClient) -> None:
    reply = await client.post(CHAT, json=HELLO, headers={"X-Mock-Status": "429", "X-Mock-Retry-After": "7"})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    assert reply.json() == {"error": {"message": "mock 429", "type": "mock_error", "code": 429}}


async def test_a_stream_reports_usage_only_where_it_was_asked_for(client: httpx.AsyncClient) -> None:
    plain = events((await client.post(CHAT, json={**HELLO, "stream": True})).text)
    assert len(plain) == 5
    assert not any("usage" in event for event in plain)
    asked = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}
    with_usage = events((await client.post(CHAT, json=asked)).text)
    assert json.loads(with_usage[-2])["usage"]["total_tokens"] == 5
    assert with_usage[-1] == "[DONE]"


async def test_chunks_arrive_one_after_another_when_a_delay_is_asked_for(client: httpx.AsyncClient) -> None:
    asked = {"X-Mock-Chunks": "4", "X-Mock-Chunk-Delay-Ms": "20"}
    async with client.stream("POST", CHAT, json={**HELLO, "stream": True}, headers=asked) as reply:
        parts = [part async for part in reply.aiter_raw()]
    assert len(parts) >= 4
    assert b"".join(parts).endswith(b"data: [DONE]\n\n")


async def test_a_stream_is_cut_after_the_chunks_that_were_asked_for(client: httpx.AsyncClient) -> None:
    received = bytearray()

    async def read() -> None:
        asked = {**HELLO, "stream": True}
        async with client.stream("POST", CHAT, json=asked, headers={"X-Mock-Cut": "2"}) as reply:
            async for part in reply.aiter_raw():
                received.extend(part)

    with pytest.raises(httpx.RemoteProtocolError):
        await read()
    assert received.count(b"data: ") == 2


async def test_a_refused_request_gets_no_reply_at_all(mock: MockProvider, client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.TransportError):
        await client.post(CHAT, json=HELLO, headers={"X-Mock-Refuse": "1"})
    assert mock.counters.refused == 1


async def test_a_client_that_leaves_is_noticed_with_what_was_produced_for_it(
    mock: MockProvider, client: httpx.AsyncClient
) -> None:
    asked = {"X-Mock-Chunks": "1000", "X-Mock-Chunk-Delay-Ms": "5", "X-Mock-Usage": "4,1000"}
    async with client.stream("POST", CHAT, json={**HELLO, "stream": True}, headers=asked) as reply:
        async for _ in reply.aiter_raw():
            break
    await wait_for_disconnects(mock, 1)
    (left,) = mock.disconnects
    assert left.prompt_tokens == 4
    assert left.completion_tokens == left.chunks > 0
    assert mock.counters.streams_open == 0
    assert mock.counters.total_tokens == 4 + left.completion_tokens


async def test_defaults_hold_for_the_longest_prefix_and_a_number_of_times(
    mock: MockProvider, client: httpx.AsyncClient
) -> None:
    mock.set_defaults(usage=8)
    reply = await client.post("/_mock/defaults", json={"prefix": "/main", "status": 500, "times": 1})
    assert reply.status_code == 200
    statuses = [(await client.post("/main" + CHAT, json=HELLO)).status_code for _ in range(2)]
    assert statuses == [500, 200]
    assert (await client.post("/spare" + CHAT, json=HELLO)).json()["usage"]["total_tokens"] == 8


async def test_a_control_that_does_not_exist_or_makes_no_sense_is_refused(
    mock: MockProvider, client: httpx.AsyncClient
) -> None:
    assert (await client.post(CHAT, json=HELLO, headers={"X-Mock-Usage": "many"})).status_code == 400
    assert (await client.post("/_mock/defaults", json={"colour": "red"})).status_code == 400
    with pytest.raises(InvalidSpec, match="latency_ms"):
        mock.set_defaults(latency_ms=-1)


async def test_the_control_api_shows_what_was_seen_and_forgets_it(client: httpx.AsyncClient) -> None:
    await client.post(CHAT, json={**HELLO, "model": "m-tok10"})
    shown = (await client.get("/_mock/requests")).json()
    assert shown["requests"][0]["body"]["model"] == "m-tok10"
    assert (shown["counters"]["requests"], shown["counters"]["total_tokens"]) == (1, 10)
    await client.delete("/_mock/requests")
    assert (await client.get("/_mock/counters")).json()["requests"] == 0


async def test_requests_in_one_packet_are_answered_in_order(mock: MockProvider) -> None:
    host, port = mock.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    first = b"GET /one HTTP/1.1\r\nhost: x\r\nx-mock-latency-ms: 30\r\n\r\n"
    second = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    writer.write(first + second)
    received = await asyncio.wait_for(reader.read(), 30)
    assert received.index(b'"status"') < received.index(b'"m-tok10"')
    writer.close()


async def test_the_openai_package_understands_every_reply(mock: MockProvider) -> None:
    async with openai.AsyncOpenAI(base_url=f"{mock.base_url}/v1", api_key="any") as sdk:
        chat = await sdk.chat.completions.create(
            model="m-tok10", messages=[{"role": "user", "content": "hi"}]
        )
        assert chat.usage is not None
        assert chat.usage.total_tokens == 10
        response = await sdk.responses.create(model="m-tok10", input="hi")
        assert response.output_text == "Hello from mock"
        kinds = [event.type async for event in await sdk.responses.create(model="m", input="hi", stream=True)]
        assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
        vectors = await sdk.embeddings.create(model="m", input=["a", "b", "a"])
        assert vectors.data[0].embedding == vectors.data[2].embedding != vectors.data[1].embedding
        assert [model.id async for model in sdk.models.list()]


async def test_the_anthropic_package_understands_every_reply(mock: MockProvider) -> None:
    async with anthropic.AsyncAnthropic(base_url=mock.base_url, api_key="any") as sdk:
        message = await sdk.messages.create(
            model="m-tok10", max_tokens=16, messages=[{"role": "user", "content": "hi"}]
        )
        assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 5)
        async with sdk.messages.stream(
            model="m-tok10", max_tokens=16, messages=[{"role": "user", "content": "hi"}]
        ) as stream:
            final = await stream.get_final_message()
        assert final.usage.output_tokens == 5


async def test_a_taken_port_is_an_error_that_names_it(mock: MockProvider) -> None:
    port = int(mock.base_url.rsplit(":", 1)[1])
    with pytest.raises(Unavailable, match=str(port)):
        async with MockProvider.start(port=port):
            pass


async def test_it_runs_as_a_program_and_stops_on_sigterm() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "controlplane.embedded.mock", "--port", str(port),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    try:
        assert program.stdout is not None
        line = await asyncio.wait_for(program.stdout.readline(), 60)
        assert line.decode().strip() == f"mock provider on http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.post(CHAT, json=HELLO)).status_code == 200
        program.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(program.wait(), 60) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
