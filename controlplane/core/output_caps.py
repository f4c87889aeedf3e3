"""Caps on what a model may say: written over what a client asks for, unless the client asks for less.

A gateway's cap is written over whatever the request has. Where all members of a queue have the same cap, a
function on the gateway takes out of a request what asks for more, and the cap only fills the gap. Otherwise
requests that ask for no more than every cap of the members have routes of their own, in front of the others,
where nothing is written over.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from controlplane.core.addresses import EMBEDDINGS, MESSAGES, RESPONSES
from controlplane.core.desired import Provider
from controlplane.core.guards import Guards
from controlplane.core.objects import Json
from controlplane.core.spec import MemberSpec, ProviderType, QueueSpec

_MAX, _COMPLETION, _OUTPUT = "max_tokens", "max_completion_tokens", "max_output_tokens"
# The gateway turns what messages ask for into this field, and only these types of providers read it.
_READ_COMPLETION = (ProviderType.OPENAI, ProviderType.GEMINI, ProviderType.VERTEX_AI)


class Asking(StrEnum):
    """The protocols in which a client can ask for a cap; the values end the ids of their routes."""

    CHAT = "c"
    RESPONSES = "r"
    MESSAGES = "a"


_CHAT_FIELDS = (_MAX, _COMPLETION)
_LARGEST_BODY = 64 * 1024 * 1024
"""What the gateway's proxy reads of a body where the queue says nothing."""


def member_cap(member: MemberSpec, guards: Guards) -> int | None:
    """The most tokens of an answer of a member."""
    caps = [cap for cap in (member.max_output_tokens, guards.max_output_tokens) if cap is not None]
    return min(caps) if caps else None


def common_cap(queue: QueueSpec) -> int | None:
    """The cap of a queue whose members all have the same one."""
    caps = {member_cap(member, queue.guards) for member in queue.members}
    return caps.pop() if len(caps) == 1 else None


def filled_in(provider: Provider, among: Sequence[Provider], cap: int) -> dict[str, Json]:
    """What of an instance's `override` caps requests that do not say how much they want.

    Nothing where all that a request may meet reads either of two fields: there the function sets one of them.
    """
    kind = provider.spec.type
    if {each.spec.type for each in among} == {ProviderType.OPENAI}:
        return {}
    field = _COMPLETION if kind in _READ_COMPLETION else _MAX
    bodies: dict[str, Json] = {"openai-chat": {field: cap}}
    if kind in (ProviderType.OPENAI, ProviderType.OPENAI_COMPATIBLE):
        bodies["openai-responses"] = {_OUTPUT: cap}
    if kind is ProviderType.ANTHROPIC:
        bodies["anthropic-messages"] = {_MAX: cap}
    return {"request_body": bodies}


def function_caps(cap: int, guards: Guards, among: Mapping[str, Sequence[Provider]]) -> dict[str, Json]:
    """What the function on the gateway must know: of each route, by its id, how its providers are asked."""
    return {
        "cap": cap,
        "largest_body": guards.max_body_bytes or _LARGEST_BODY,
        "routes": {route: _asked_of({each.spec.type for each in among[route]}) for route in among},
    }


def _asked_of(kinds: set[ProviderType]) -> Json:
    """By protocol: of which fields some must be there, all fields that count, and the one to set if any."""
    alone = kinds == {ProviderType.OPENAI}
    read = {_COMPLETION if kind in _READ_COMPLETION else _MAX for kind in kinds}
    needed: list[Json] = [[*_CHAT_FIELDS]] if alone else [[field] for field in sorted(read)]
    found: dict[str, dict[str, Json]] = {
        "chat": {"needed": needed, "fields": [*_CHAT_FIELDS]},
        "responses": {"needed": [[_OUTPUT]], "fields": [_OUTPUT]},
        "messages": {"needed": [[_MAX] if _converted(kinds) else []], "fields": [_MAX]},
    }
    if alone:
        for protocol, field in (("chat", _COMPLETION), ("responses", _OUTPUT), ("messages", _MAX)):
            found[protocol]["sets"] = field
    return found


def _converted(kinds: set[ProviderType]) -> bool:
    """Whether every kind of provider reads what messages ask for."""
    return kinds <= {ProviderType.ANTHROPIC, *_READ_COMPLETION}


def asking_less(
    members: Sequence[MemberSpec], providers: Mapping[str, Provider], guards: Guards, uris: Sequence[str]
) -> Iterator[tuple[Asking, list[str], list[Json]]]:
    """For each protocol of the addresses: its addresses, and what is true of a request that asks for less."""
    caps = [cap for member in members if (cap := member_cap(member, guards)) is not None]
    if not caps:
        return
    kinds = {providers[member.provider].spec.type for member in members}
    by_protocol: dict[Asking, list[str]] = {}
    for uri in uris:
        if (asking := _asking(uri)) is not None:
            by_protocol.setdefault(asking, []).append(uri)
    for asking, addresses in by_protocol.items():
        if condition := _condition(asking, kinds, min(caps)):
            yield asking, addresses, condition


def _asking(uri: str) -> Asking | None:
    if uri.endswith(EMBEDDINGS):
        return None
    if uri.endswith(RESPONSES):
        return Asking.RESPONSES
    return Asking.MESSAGES if uri.endswith(MESSAGES) else Asking.CHAT


def _condition(asking: Asking, kinds: set[ProviderType], cap: int) -> list[Json] | None:
    """What holds of a request that every member's provider reads as asking for no more than the cap."""
    if asking is Asking.RESPONSES:
        return [_within(_OUTPUT, cap)]
    if asking is Asking.MESSAGES:
        return [_within(_MAX, cap)] if _converted(kinds) else None
    if kinds == {ProviderType.OPENAI}:
        either: list[Json] = ["OR", _within(_MAX, cap), _within(_COMPLETION, cap)]
        return [either, _absent_or_within(_MAX, cap), _absent_or_within(_COMPLETION, cap)]
    read = {_COMPLETION if kind in _READ_COMPLETION else _MAX for kind in kinds}
    return [_within(field, cap) if field in read else _absent_or_within(field, cap) for field in _CHAT_FIELDS]


def _within(field: str, cap: int) -> list[Json]:
    return [f"post_arg.{field}", "<", cap + 1]


def _absent_or_within(field: str, cap: int) -> list[Json]:
    return ["OR", [f"post_arg.{field}", "==", None], _within(field, cap)]
