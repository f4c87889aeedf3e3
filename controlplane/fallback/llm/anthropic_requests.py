"""Turns a request in Anthropic messages into one in OpenAI chat.

The new body is built from what is understood; fields that nobody knows never reach the provider.
"""

import copy
import hashlib
import re
from typing import Any

import orjson

from controlplane.fallback.llm.anthropic_content import message_parts, text_of
from controlplane.fallback.llm.protocols import Json

_BUILTIN_TOOLS = ("computer_", "bash_", "text_editor_", "web_search", "code_execution_")
_NAME_LENGTH = 64
_HASH_LENGTH = 8
_BILLING = "x-anthropic-billing-header:"


class InvalidMessages(ValueError):
    """The request cannot be turned into chat; the message is APISIX's."""


class ToolNames:
    """Tool names for OpenAI, which allows fewer characters, and the way back."""

    def __init__(self) -> None:
        self.originals: dict[str, str] = {}

    def shorten(self, name: str) -> str:
        """The name itself if it is allowed, otherwise one made of it that no other tool gets."""
        plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
        if plain == name and len(name) <= _NAME_LENGTH:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_LENGTH]
        renamed = f"{plain[: _NAME_LENGTH - _HASH_LENGTH - 1]}_{digest}"
        self.originals[renamed] = name
        return renamed

    def restore(self, name: str) -> str:
        return self.originals.get(name, name)


def to_chat(request: Json, names: ToolNames) -> Json:
    """The chat request; InvalidMessages if there is nothing to turn into one."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidMessages("missing messages")
    chat: Json = {}
    _plain_fields(request, chat)
    _thinking(request, chat)
    _output_format(request, chat)
    _tools(request, chat, names)
    converted: list[Json] = []
    system = _system(request.get("system"))
    if system:
        converted.append({"role": "system", "content": system})
    for index, message in enumerate(messages, 1):
        converted.extend(_message(message, index, names))
    chat["messages"] = converted
    if "tools" not in chat:
        chat.pop("tool_choice", None)
        chat.pop("parallel_tool_calls", None)
    return chat


def convert_headers(headers: dict[str, Any]) -> None:
    """Make a client's Anthropic headers OpenAI's, in place."""
    key = headers.get("x-api-key")
    if isinstance(key, str) and key:
        headers.setdefault("authorization", f"Bearer {key}")
        del headers["x-api-key"]
    for name in [name for name in headers if name.startswith(("anthropic-", "x-stainless-"))]:
        del headers[name]


def _plain_fields(request: Json, chat: Json) -> None:
    if isinstance(request.get("model"), str):
        chat["model"] = request["model"]
    if request.get("stream") is not None:
        chat["stream"] = request["stream"]
        if chat["stream"]:
            chat["stream_options"] = {"include_usage": True}
    if request.get("max_tokens"):
        chat["max_completion_tokens"] = request["max_tokens"]
    for name in ("temperature", "top_p"):
        if request.get(name) is not None:
            chat[name] = request[name]
    if isinstance(request.get("stop_sequences"), list):
        chat["stop"] = request["stop_sequences"]
    metadata = request.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("user_id"), str):
        chat["user"] = metadata["user_id"]
    if isinstance(request.get("service_tier"), str):
        chat["service_tier"] = request["service_tier"]


def _thinking(request: Json, chat: Json) -> None:
    thinking = request.get("thinking")
    if not isinstance(thinking, dict):
        return
    output = request.get("output_config")
    if thinking.get("type") == "adaptive":
        effort = output.get("effort") if isinstance(output, dict) else None
        chat["reasoning_effort"] = effort if isinstance(effort, str) and effort else "medium"
    elif thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        budget = budget if isinstance(budget, int | float) else 0
        levels = ((4096, "high"), (2048, "medium"), (1024, "low"))
        chat["reasoning_effort"] = next((name for least, name in levels if budget >= least), "minimal")


def _output_format(request: Json, chat: Json) -> None:
    wanted = request.get("output_format")
    if not isinstance(wanted, dict) or not wanted:
        output = request.get("output_config")
        wanted = output.get("format") if isinstance(output, dict) else None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema" or not wanted.get("schema"):
        return
    schema = copy.deepcopy(wanted["schema"])
    _make_strict(schema)
    chat["response_format"] = {
        "type": "json_schema",
        "json_schema": {"name": "structured_output", "schema": schema, "strict": True},
    }


def _make_strict(schema: Any) -> None:
    """OpenAI's strict mode wants every property required and no others, at every depth."""
    if isinstance(schema, list):
        for item in schema:
            _make_strict(item)
        return
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    if schema.get("type") == "object" and isinstance(properties, dict):
        schema["additionalProperties"] = False
        schema["required"] = sorted(properties)
        for inner in properties.values():
            _make_strict(inner)
    for name in ("items", "anyOf", "oneOf", "allOf"):
        _make_strict(schema.get(name))
    for name in ("$defs", "definitions"):
        if isinstance(schema.get(name), dict):
            _make_strict(list(schema[name].values()))


def _tools(request: Json, chat: Json, names: ToolNames) -> None:
    declared: dict[str, str] = {}
    tools = []
    given = request.get("tools")
    for tool in given if isinstance(given, list) else []:
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or not tool["name"]:
            continue
        if isinstance(tool.get("type"), str) and tool["type"].startswith(_BUILTIN_TOOLS):
            continue
        declared[tool["name"]] = names.shorten(tool["name"])
        function = {"name": declared[tool["name"]]}
        for theirs, ours in (("description", "description"), ("input_schema", "parameters")):
            if tool.get(theirs) is not None:
                function[ours] = tool[theirs]
        tools.append({"type": "function", "function": function})
    if tools:
        chat["tools"] = tools
    choice = request.get("tool_choice")
    if not isinstance(choice, dict):
        return
    simple = {"auto": "auto", "any": "required", "none": "none"}
    if choice.get("type") in simple:
        chat["tool_choice"] = simple[choice["type"]]
    elif choice.get("type") == "tool" and isinstance(choice.get("name"), str):
        name = declared.get(choice["name"], choice["name"])
        chat["tool_choice"] = {"type": "function", "function": {"name": name}}
    if choice.get("disable_parallel_tool_use") is True:
        chat["parallel_tool_calls"] = False


def _system(system: Any) -> str:
    if isinstance(system, str):
        return system
    if not isinstance(system, list):
        return ""
    texts = [
        _without_cache_hash(block["text"])
        for block in system
        if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)
    ]
    return "".join(texts)


def _without_cache_hash(text: str) -> str:
    """A billing line without its `cch=` entry, which changes with every call and defeats caches."""
    if not text.lower().startswith(_BILLING):
        return text
    value = re.sub(r" ?cch=[^;]*;?", "", text[len(_BILLING) :])
    value = value.strip("; ")
    return _BILLING + value if value else ""


def _message(message: Any, index: int, names: ToolNames) -> list[Json]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise InvalidMessages(f"invalid message at index {index}")
    role, content = message["role"], message.get("content")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if not isinstance(content, list):
        raise InvalidMessages(f"invalid message content at index {index}")
    parts, calls, results = message_parts(content, names.shorten)
    if results:
        return [*results, *([{"role": role, "content": parts}] if parts else [])]
    converted: Json = {"role": role}
    if calls:
        converted["tool_calls"] = [_call(call) for call in calls]
        text = text_of(parts)
        if text:
            converted["content"] = text
    elif not parts:
        converted["content"] = ""
    else:
        converted["content"] = text_of(parts) if role == "assistant" else parts
    return [converted]


def _call(call: tuple[str, str, Any]) -> Json:
    identifier, name, given = call
    arguments = orjson.dumps(given if given is not None else {}).decode()
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}
