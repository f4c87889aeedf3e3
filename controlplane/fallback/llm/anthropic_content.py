"""The content blocks of Anthropic messages, as OpenAI chat has them."""

from collections.abc import Callable
from typing import Any

from controlplane.fallback.llm.protocols import Json

Parts = tuple[list[Json], list[tuple[str, str, Any]], list[Json]]


def message_parts(content: list[Any], tool_name: Callable[[str], str]) -> Parts:
    """The parts of a message: its text and media, its tool calls (id, name, input), its tool results.

    Thinking of earlier turns has no place in OpenAI chat and is left out.
    """
    parts: list[Json] = []
    calls: list[tuple[str, str, Any]] = []
    results: list[Json] = []
    for block in content:
        if not isinstance(block, dict):
            continue
        kind = block.get("type")
        if kind == "tool_use" and isinstance(block.get("id"), str) and isinstance(block.get("name"), str):
            calls.append((block["id"], tool_name(block["name"]), block.get("input")))
        elif kind == "tool_result" and isinstance(block.get("tool_use_id"), str):
            results.append(
                {
                    "role": "tool",
                    "tool_call_id": block["tool_use_id"],
                    "content": _result(block.get("content")),
                }
            )
        else:
            part = _part(block)
            if part is not None:
                parts.append(part)
    return parts, calls, results


def text_of(parts: list[Json]) -> str:
    return "".join(part["text"] for part in parts if part["type"] == "text")


def _part(block: Json) -> Json | None:
    if block.get("type") == "text" and isinstance(block.get("text"), str):
        return {"type": "text", "text": block["text"]}
    if block.get("type") in ("image", "document"):
        return _media(block)
    return None


def _media(block: Json) -> Json | None:
    source = block.get("source")
    if not isinstance(source, dict):
        return None
    if source.get("type") == "base64" and isinstance(source.get("data"), str) and source["data"]:
        usual = "image/png" if block["type"] == "image" else "application/pdf"
        url = f"data:{source.get('media_type') or usual};base64,{source['data']}"
    elif block["type"] == "image" and source.get("type") == "url" and source.get("url"):
        url = str(source["url"])
    else:
        return None
    return {"type": "image_url", "image_url": {"url": url}}


def _result(content: Any) -> str | list[Json]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for block in content if isinstance(block, dict) and (part := _part(block)) is not None]
    return parts if any(part["type"] != "text" for part in parts) else text_of(parts)
