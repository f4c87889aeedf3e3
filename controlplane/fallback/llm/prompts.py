"""The texts of a request, whatever its protocol: who says what, and how more is said before or after it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.fallback.llm.protocols import Json

Prompt = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Said:
    """One text and whose it is."""

    role: Any  # what the client put there
    content: str


def texts_of(protocol: str, body: Json) -> list[Said]:
    """Everything that is said in a request, in order."""
    match protocol:
        case "openai-chat":
            return _messages(body)
        case "anthropic-messages":
            system = body.get("system")
            return [*([Said("system", system)] if isinstance(system, str) else []), *_messages(body)]
        case "openai-responses":
            return _responses(body)
        case "openai-embeddings" if isinstance(body.get("input"), str):
            return [Said("user", body["input"])]
        case _:
            return []


def prepend(protocol: str, body: Json, prompts: Sequence[Prompt]) -> None:
    """Say something before everything else."""
    if not prompts:
        return
    if protocol in ("openai-chat", "anthropic-messages"):
        body["messages"] = [*map(dict, prompts), *_list(body.get("messages"))]
    elif protocol == "openai-responses":
        text, present = _joined(prompts), body.get("instructions")
        body["instructions"] = f"{text}\n{present}" if isinstance(present, str) else text


def append(protocol: str, body: Json, prompts: Sequence[Prompt]) -> None:
    """Say something after everything else."""
    if not prompts:
        return
    if protocol in ("openai-chat", "anthropic-messages"):
        body["messages"] = [*_list(body.get("messages")), *map(dict, prompts)]
    elif protocol == "openai-responses":
        text, present = _joined(prompts), body.get("input")
        if isinstance(present, list):
            body["input"] = [*present, {"type": "message", "role": "user", "content": text}]
        else:
            body["input"] = f"{present}\n{text}" if isinstance(present, str) else text


def _messages(body: Json) -> list[Said]:
    said = []
    for message in _list(body.get("messages")):
        if isinstance(message, dict):
            texts = _content(message.get("content"), kinds=("text",))
            if texts:
                said.append(Said(message.get("role"), " ".join(texts)))
    return said


def _responses(body: Json) -> list[Said]:
    said = []
    if isinstance(body.get("instructions"), str):
        said.append(Said("system", body["instructions"]))
    asked = body.get("input")
    if isinstance(asked, str):
        said.append(Said("user", asked))
    for item in _list(asked):
        texts = [item] if isinstance(item, str) else _item(item) if isinstance(item, dict) else []
        role = item.get("role") if isinstance(item, dict) else None
        if texts:
            said.append(Said(role if isinstance(role, str) else "user", " ".join(texts)))
    return said


def _item(item: Json) -> list[str]:
    if item.get("content") is not None:
        return _content(item["content"], kinds=None)
    if isinstance(item.get("text"), str):
        return [item["text"]]
    return _content(item.get("output"), kinds=None)


def _content(content: Any, *, kinds: Sequence[str] | None) -> list[str]:  # a text, or parts of any shape
    if isinstance(content, str):
        return [content]
    return [
        part["text"]
        for part in _list(content)
        if isinstance(part, dict)
        and isinstance(part.get("text"), str)
        and (kinds is None or part.get("type") in kinds)
    ]


def _list(value: Any) -> list[Any]:  # any JSON value
    return value if isinstance(value, list) else []


def _joined(prompts: Iterable[Prompt]) -> str:
    return "\n".join(prompt["content"] for prompt in prompts)
