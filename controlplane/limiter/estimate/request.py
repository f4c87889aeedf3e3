"""What an estimate needs to know of a body: OpenAI chat, responses and embeddings, Anthropic messages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TEXT_FIELDS = ("messages", "input", "instructions", "system", "prompt", "suffix")
_SCHEMA_FIELDS = ("tools", "functions", "response_format", "text", "output_config")
_CAPS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_NOT_TEXT = frozenset(
    {"model", "type", "role", "id", "url", "detail", "media_type", "cache_control", "status"}
)
_IMAGES = frozenset({"image_url", "input_image", "image"})
_DOCUMENTS = frozenset({"input_file", "file", "document", "container_upload", "item_reference", "video_url"})
_KEPT_BY_PROVIDER = ("previous_response_id", "conversation", "container", "mcp_servers", "web_search_options")
_ANSWERS = ("n", "best_of")
_RARE_FIELDS = frozenset([*_SCHEMA_FIELDS, *_KEPT_BY_PROVIDER, *_ANSWERS, "prompt"])
_TOOLS_OF_CLIENT = frozenset({"function", "custom"})


@dataclass(slots=True)
class RequestFacts:
    """The figures of one body. `unbounded` names what makes the prompt larger than what was sent."""

    texts: list[str] = field(default_factory=list)
    messages: int = 0
    token_ids: int = 0
    images: int = 0
    image_bytes: int = 0
    """Of the body, in images, where a byte is no text."""
    has_tools: bool = False
    cap: int | None = None
    """The most tokens that the client lets each answer have."""
    answers: int = 1
    unbounded: list[str] = field(default_factory=list)


def read_request(body: Mapping[str, object]) -> RequestFacts:
    """The figures of a parsed body; what is not as it should be is left for the provider to refuse."""
    facts = RequestFacts()
    for name in _TEXT_FIELDS:
        if name in body:
            _read_text(body[name], facts)
    for name in _CAPS:
        cap = body.get(name)
        if type(cap) is int and cap >= 0 and (facts.cap is None or cap < facts.cap):
            facts.cap = cap
    messages = body.get("messages", body.get("input"))
    facts.messages = len(messages) if isinstance(messages, list) else 1
    if not _RARE_FIELDS.isdisjoint(body):
        _read_rare_fields(body, facts)
    return facts


def _read_rare_fields(body: Mapping[str, object], facts: RequestFacts) -> None:
    """What most bodies do not have."""
    for name in _ANSWERS:
        count = body.get(name)
        if type(count) is int and count > facts.answers:
            facts.answers = count
    for name in _SCHEMA_FIELDS:
        if body.get(name):
            facts.texts.append(" ".join(_words(body[name], names=True)))
    facts.has_tools = bool(body.get("tools") or body.get("functions"))
    facts.unbounded += [f"{name}: what it stands for is not in the request" for name in _kept(body)]
    facts.unbounded += [f"tool {kind}: what it adds is not in the request" for kind in _provider_tools(body)]


def _read_text(root: object, facts: RequestFacts) -> None:
    waiting = [root]  # rather than a recursion, which a body could make as deep as it likes
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            facts.texts.append(part)
        elif isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, dict):
            _read_part(part, facts, waiting)
        elif type(part) is int:
            facts.token_ids += 1


def _read_part(part: Mapping[str, object], facts: RequestFacts, waiting: list[object]) -> None:
    """One object of a text: a message, a piece of its content, a result of a tool."""
    kind = _kind(part) if "type" in part else None
    if kind in _IMAGES:
        facts.images += 1
        facts.image_bytes += sum(map(len, _words(part)))
    elif kind in _DOCUMENTS:
        facts.unbounded.append(f"{kind}: its text is not in the request")
    else:
        for name, value in part.items():
            if name not in _NOT_TEXT:
                waiting.append(value)


def _words(root: object, *, names: bool = False) -> Iterator[str]:
    """The texts in a value, and the names of its fields if wanted."""
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, dict):
            waiting.extend(part.values())
            if names:
                yield from map(str, part)


def _kind(part: Mapping[str, object]) -> str | None:
    kind = part.get("type")
    return None if kind is None else str(kind)


def _kept(body: Mapping[str, object]) -> Iterator[str]:
    yield from (name for name in _KEPT_BY_PROVIDER if body.get(name))
    if isinstance(body.get("prompt"), dict):
        yield "prompt"


def _provider_tools(body: Mapping[str, object]) -> Iterator[str]:
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        kind = _kind(tool) if isinstance(tool, dict) else None
        if kind is not None and kind not in _TOOLS_OF_CLIENT:
            yield kind
