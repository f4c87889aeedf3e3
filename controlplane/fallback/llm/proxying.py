"""Calls a member, and the next one where that is asked for, until there is an answer for the client."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from controlplane.fallback import cjson
from controlplane.fallback.http.answers import Answer, Patience, TooMuch, UpstreamFailed
from controlplane.fallback.http.upstream import Pool
from controlplane.fallback.llm.anthropic_answers import UnusableAnswer, to_message
from controlplane.fallback.llm.anthropic_requests import (
    InvalidMessages,
    ToolNames,
    convert_headers,
    to_chat,
)
from controlplane.fallback.llm.anthropic_stream import AnthropicStream
from controlplane.fallback.llm.call import Call
from controlplane.fallback.llm.detection import BY_NAME, detect
from controlplane.fallback.llm.google import GoogleTokens
from controlplane.fallback.llm.members import Member
from controlplane.fallback.llm.outgoing import request_bytes, shape_body
from controlplane.fallback.llm.protocols import Json, LlmProtocol
from controlplane.fallback.llm.relay import BoundReached, Bounds, Relay, StreamEmpty
from controlplane.fallback.runtime.context import JSON_TYPE, BodyUnavailable, Context, Passed, Reply, Streamed
from controlplane.fallback.secrets.asking import SecretUnavailable

EVENT_STREAM = ("text/event-stream",)
EMPTY_STREAM = (
    "streaming response completed without producing any output; the upstream likely returned a different "
    "stream format than the converter expects"
)

# Chooses another member after a failure: None to try again, or the reply to give up with.
NextMember = Callable[[Context, Call, Reply], Awaitable[Reply | None]]


@dataclass(frozen=True, slots=True)
class Transport:
    """How a plugin's configuration wants calls to be made."""

    patience: Patience
    bounds: Bounds
    body_limit: int


def transport_of(conf: Mapping[str, Any]) -> Transport:
    """The transport part of the configuration of ai-proxy and ai-proxy-multi, defaults filled in."""
    stream_ms = conf.get("max_stream_duration_ms")
    most = conf.get("max_response_bytes")
    return Transport(
        Patience(
            timeout_s=conf["timeout"] / 1000,
            keep=conf["keepalive_pool"] if conf["keepalive"] else 0,
            keep_s=conf["keepalive_timeout"] / 1000,
            max_bytes=most,
        ),
        Bounds(stream_ms / 1000 if stream_ms is not None else None, most),
        conf["max_req_body_size"],
    )


async def recognize(context: Context, body_limit: int) -> Reply | Call:
    """Read the request and find out what it asks for; a reply says why it cannot be proxied."""
    kind = context.headers.get("content-type") or JSON_TYPE
    if not kind.startswith(JSON_TYPE):
        return Reply(400, f"unsupported content-type: {kind}, only application/json is supported")
    try:
        await context.read_body(body_limit)
        body = context.parsed_body()
    except BodyUnavailable as error:
        return Reply(413 if error.too_large else 400, {"message": str(error)})
    if isinstance(body, dict) and body.get("model"):
        context.values["request_llm_model"] = body["model"]
    protocol = detect(body, context.address.path)
    if protocol is None:
        return Reply(400, "no matching AI protocol for the request")
    call = Call(protocol, streaming=protocol.is_streaming(body))
    context.values["request_type"] = "ai_stream" if call.streaming else "ai_chat"
    return call


class Proxy:
    """Makes the calls of one plugin configuration."""

    def __init__(self, pool: Pool, transport: Transport, google: GoogleTokens) -> None:
        self._pool = pool
        self._transport = transport
        self._google = google

    async def run(self, context: Context, call: Call, next_member: NextMember | None) -> Reply:
        """The answer for the client. `next_member` decides what happens after a failure."""
        while True:
            attempt = _Attempt(context, call, self._pool, self._transport, self._google)
            reply = await attempt.run()
            if isinstance(reply, Passed | Streamed) or next_member is None:
                return reply
            given_up = await next_member(context, call, reply)
            if given_up is not None:
                return given_up


class _Attempt:
    """One call to one member."""

    def __init__(
        self, context: Context, call: Call, pool: Pool, transport: Transport, google: GoogleTokens
    ) -> None:
        assert call.target is not None  # noqa: S101  the access phase has chosen a member
        self._context = context
        self._call = call
        self._member: Member = call.target
        self._pool = pool
        self._transport = transport
        self._google = google
        self._token: str | None = None
        self._names: ToolNames | None = None
        self._clock = context.clock

    async def run(self) -> Reply:
        self._call.attempt_started = self._clock.monotonic()
        self._call.retry_after_s = None
        if self._member.google is not None:
            try:
                self._token = await self._google.of(self._member.google)
            except SecretUnavailable as error:
                _log_no_token(self._member.name, str(error))
                return Reply(500)
        prepared = self._prepare()
        if isinstance(prepared, Reply):
            return prepared
        try:
            answer = await self._pool.send(
                self._member.origin, prepared, self._transport.patience, EVENT_STREAM
            )
        except TooMuch as error:
            self._record(None)
            return Reply(502, str(error))
        except UpstreamFailed as error:
            return self._failed(error)
        self._record(answer.status)
        self._note_time()
        if answer.status == 429 or answer.status >= 500:
            return self._refused(answer)
        content_type = answer.headers.get("content-type")
        if content_type is not None:
            self._context.response_headers.set("Content-Type", content_type)
        if answer.body is None:
            return await self._stream(answer)
        return self._whole(answer, answer.body)

    # The request.

    def _prepare(self) -> bytes | Reply:
        """The request for the member, in a protocol that its provider speaks."""
        context, member, client = self._context, self._member, self._call.protocol
        body: Json = context.parsed_body()
        target = self._target_protocol(client)
        if target is None:
            known = ", ".join(member.provider.capabilities)
            who = f"provider {member.provider.name}"
            return Reply(400, f"{who} does not support {client.name} protocol (supported: {known})")
        model = member.options.get("model") or body.get("model")
        if model:
            context.values["llm_model"] = model
        context.values["llm_stream"] = "true" if self._call.streaming else "false"
        tools, user = body.get("tools"), client.end_user(body)
        context.values["llm_tool_count"] = len(tools) if isinstance(tools, list) else 0
        if user is not None:
            context.values["llm_end_user_id"] = user
        path = context.address.path if target.name == "passthrough" else None
        path = member.path or path or member.path_for(target.name)
        if path is None:
            return Reply(400, {"error_msg": "could not resolve upstream path"})
        converted = body
        if self._names is not None:
            try:
                converted = to_chat(body, self._names)
            except InvalidMessages as error:
                return Reply(400, {"error_msg": str(error)})
        shaped, changed = shape_body(converted, member, target, self._call.cap)
        untouched = not changed and self._names is None
        data = (
            context.body if untouched and context.body else orjson.dumps(shaped, option=orjson.OPT_SORT_KEYS)
        )
        context.upstream_uri = path
        self._target = target
        return request_bytes(
            context,
            member,
            path,
            data,
            transparent=target.name == "passthrough",
            change_headers=convert_headers if self._names is not None else None,
            token=self._token,
        )

    def _target_protocol(self, client: LlmProtocol) -> LlmProtocol | None:
        capabilities = self._member.provider.capabilities
        if client.name in capabilities or client.name == "passthrough":
            return client
        if client.name == "anthropic-messages" and "openai-chat" in capabilities:
            self._names = ToolNames()
            return BY_NAME["openai-chat"]
        return None

    # The answer.

    def _failed(self, error: UpstreamFailed) -> Reply:
        status = 504 if error.timed_out else 500
        self._record(status)
        self._note_time()
        return Reply(status)

    def _refused(self, answer: Answer) -> Reply:
        content_type = answer.headers.get("content-type")
        if content_type is not None:
            self._context.response_headers.set("Content-Type", content_type)
        self._context.values["llm_time_to_first_token"] = self._elapsed_ms()
        wait = answer.headers.get("retry-after") or ""
        self._call.retry_after_s = float(wait) if wait.isascii() and wait.isdigit() else None
        if answer.body is None:
            answer.abort()
        return Reply(answer.status, answer.body)

    def _whole(self, answer: Answer, body: bytes) -> Reply:
        context, call = self._context, self._call
        context.values["llm_time_to_first_token"] = self._elapsed_ms()
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            return Passed(answer.status, body)
        if not isinstance(parsed, dict):
            return Passed(answer.status, body)
        if self._names is not None:
            try:
                model = context.values.get("llm_model", "")
                parsed = to_message(parsed, self._names, model)
            except UnusableAnswer as error:
                return Reply(500, str(error))
            body = cjson.encode(parsed)
        call.set_usage(call.protocol.usage(parsed), context.values)
        if call.protocol.calls_tools(parsed):
            context.values["llm_has_tool_calls"] = "true"
        return Passed(answer.status, body)

    async def _stream(self, answer: Answer) -> Reply:
        transform = AnthropicStream(self._names) if self._names is not None else None
        relay = Relay(answer, self._target.meter(), transform, self._transport.bounds, self._clock.monotonic)
        try:
            await relay.first()
        except UpstreamFailed as error:
            self._context.response_headers.set("Content-Type", None)
            return Reply(504 if error.timed_out else 500)
        except BoundReached as error:
            self._context.response_headers.set("Content-Type", None)
            return Reply(504 if "duration" in str(error) else 502, f"{error} exceeded")
        except StreamEmpty:
            return Reply(502, EMPTY_STREAM)
        self._context.values["llm_time_to_first_token"] = self._elapsed_ms()
        return Streamed(answer.status, relay=relay)

    def _record(self, status: int | None) -> None:
        """Add what a provider said to what the log and the response headers report."""
        if status is not None:
            self._context.upstream_statuses.append(str(status))
            self._context.upstream_addresses.append(f"{self._member.origin.host}:{self._member.origin.port}")

    def _note_time(self) -> None:
        spent_ms = self._elapsed_ms()
        self._context.values["apisix_upstream_response_time"] = spent_ms
        self._context.values["upstream_response_time"] = spent_ms / 1000

    def _elapsed_ms(self) -> int:
        return int((self._clock.monotonic() - self._call.attempt_started) * 1000)


def _log_no_token(member: str, reason: str) -> None:
    structlog.get_logger("gateway.llm").error("failed to get gcp access token", member=member, reason=reason)
