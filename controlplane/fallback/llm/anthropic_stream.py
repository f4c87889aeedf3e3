"""Turns a stream of OpenAI chat into a stream of Anthropic messages, event by event."""

from typing import Any

import orjson

from controlplane.fallback.llm import sse
from controlplane.fallback.llm.anthropic_answers import STOP_REASONS, usage_of
from controlplane.fallback.llm.anthropic_requests import ToolNames
from controlplane.fallback.llm.protocols import Json, parse
from controlplane.fallback.llm.usage import part


class AnthropicStream:
    """Feed it the provider's bytes, and send what it returns."""

    def __init__(self, names: ToolNames) -> None:
        self._names = names
        self._reader = sse.EventReader()
        self._started = False
        self._finished = False
        self._pending: Json | None = None
        self._next_index = 0
        self._open: tuple[int, str] | None = None
        self._tools: dict[int, int] = {}
        self._out: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        for event in self._reader.feed(data):
            if event.type != "message":
                continue
            if event.data == b"[DONE]":
                self._done()
                continue
            chunk = parse(event.data)
            if chunk is not None:
                self._chunk(chunk)
        out, self._out = self._out, []
        return b"".join(out)

    def _done(self) -> None:
        """The stream is over; what was held back for a last usage report goes out."""
        if self._pending is not None:
            self._stop({})
        elif not self._finished and self._started:
            self._close_block()
            self._send(
                "message_delta",
                delta={"stop_reason": "end_turn"},
                usage={"input_tokens": 0, "output_tokens": 0},
            )
            self._send("message_stop")
            self._finished = True

    def _chunk(self, chunk: Json) -> None:
        if self._finished:
            if self._pending is not None:
                self._stop(part(chunk, "usage"))
            return
        self._start(chunk)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return
        delta = part(choice, "delta")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            index = self._block("thinking", {"type": "thinking", "thinking": ""})
            self._delta(index, {"type": "thinking_delta", "thinking": reasoning})
        if isinstance(delta.get("content"), str) and delta["content"]:
            index = self._block("text", {"type": "text", "text": ""})
            self._delta(index, {"type": "text_delta", "text": delta["content"]})
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            self._tool(call)
        reason = choice.get("finish_reason")
        reason = reason.strip() if isinstance(reason, str) else ""
        if reason and reason != "null":
            self._end(reason, chunk.get("usage"))

    def _start(self, chunk: Json) -> None:
        if self._started:
            return
        self._started = True
        named = {name: chunk[name] for name in ("id", "model") if chunk.get(name) is not None}
        message: Json = {
            **named,
            "type": "message",
            "role": "assistant",
            "content": [],
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        self._send("message_start", message=message)

    def _tool(self, call: Any) -> None:
        if not isinstance(call, dict) or not isinstance(call.get("index"), int):
            return
        function = part(call, "function")
        number = call["index"]
        if number not in self._tools:
            name = self._names.restore(str(function.get("name") or ""))
            block: Json = {"type": "tool_use", "id": call.get("id") or "", "name": name, "input": {}}
            self._tools[number] = self._open_block("tool_use", block)
        arguments = function.get("arguments")
        if isinstance(arguments, str) and arguments:
            self._delta(self._tools[number], {"type": "input_json_delta", "partial_json": arguments})

    def _end(self, reason: str, usage: Any) -> None:
        """The answer is complete, but its usage may come in a later chunk: wait for it."""
        self._close_block()
        self._pending = {"delta": {"stop_reason": STOP_REASONS.get(reason, "end_turn")}}
        if isinstance(usage, dict):
            self._pending["usage"] = usage_of(usage, always_details=False)
        self._finished = True

    def _stop(self, usage: Json) -> None:
        fields, self._pending = self._pending or {}, None
        if usage and "usage" not in fields:
            fields["usage"] = usage_of(usage, always_details=False)
        self._send("message_delta", **fields)
        self._send("message_stop")

    # Blocks.

    def _block(self, kind: str, block: Json) -> int:
        """The open block if it is of this kind, otherwise a new one."""
        if self._open is not None and self._open[1] == kind:
            return self._open[0]
        return self._open_block(kind, block)

    def _open_block(self, kind: str, block: Json) -> int:
        self._close_block()
        index = self._next_index
        self._next_index += 1
        self._open = (index, kind)
        self._send("content_block_start", index=index, content_block=block)
        return index

    def _close_block(self) -> None:
        if self._open is not None:
            self._send("content_block_stop", index=self._open[0])
            self._open = None

    def _delta(self, index: int, delta: Json) -> None:
        self._send("content_block_delta", index=index, delta=delta)

    def _send(self, kind: str, **fields: Any) -> None:  # the fields of any event
        self._out.append(sse.encode(kind, orjson.dumps({"type": kind, **fields})))
