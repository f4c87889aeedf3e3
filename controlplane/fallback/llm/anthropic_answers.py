"""Turns answers of OpenAI chat into Anthropic messages, whole or as they stream."""

from typing import Any

import orjson

from controlplane.fallback.llm.anthropic_requests import ToolNames
from controlplane.fallback.llm.protocols import Json
from controlplane.fallback.llm.usage import count, part

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}


class UnusableAnswer(ValueError):
    """The provider's answer has nothing that could be turned into a message."""


def to_message(answer: Json, names: ToolNames, model: str) -> Json:
    """The message of a chat completion; an error becomes Anthropic's shape of it."""
    if answer.get("error"):
        return _error(answer["error"])
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise UnusableAnswer("no choices in response")
    content = _content(part(choice, "message"), names)
    message: Json = {
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content or [{"type": "text", "text": ""}],
        "stop_reason": STOP_REASONS.get(str(choice.get("finish_reason")), "end_turn"),
        "usage": usage_of(part(answer, "usage"), always_details=True),
    }
    if answer.get("id") is not None:
        message["id"] = answer["id"]
    return message


def usage_of(usage: Json, *, always_details: bool) -> Json:
    """Anthropic counts cached input apart."""
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    details = usage.get("prompt_tokens_details")
    if not isinstance(details, dict):
        return {"input_tokens": prompt, "output_tokens": completion}
    cached = count(details.get("cached_tokens"))
    converted: Json = {"input_tokens": max(0, prompt - cached), "output_tokens": completion}
    if always_details or cached > 0:
        converted["cache_read_input_tokens"] = cached
    if details.get("cache_creation_input_tokens"):
        converted["cache_creation_input_tokens"] = details["cache_creation_input_tokens"]
    return converted


def _error(error: Any) -> Json:
    kind, message = "api_error", ""
    if isinstance(error, dict):
        kind = error.get("type") or error.get("code") or kind
        message = error["message"] if isinstance(error.get("message"), str) else ""
    elif isinstance(error, str):
        message = error
    return {"type": "error", "error": {"type": kind, "message": message}}


def _content(message: Json, names: ToolNames) -> list[Json]:
    content: list[Json] = []
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        content.append({"type": "thinking", "thinking": reasoning, "signature": ""})
    text = message.get("content")
    if isinstance(text, str) and text:
        content.append({"type": "text", "text": text})
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, dict):
            function = part(call, "function")
            content.append(
                {
                    "type": "tool_use",
                    "id": call.get("id") or "",
                    "name": names.restore(str(function.get("name") or "")),
                    "input": _arguments(function.get("arguments")),
                }
            )
    return content


def _arguments(text: Any) -> Json:
    """A tool's arguments; a provider that sends nonsense must not cost the rest of the answer."""
    try:
        arguments = orjson.loads(text) if isinstance(text, str) else {}
    except orjson.JSONDecodeError:
        return {}
    return arguments if isinstance(arguments, dict) else {}
