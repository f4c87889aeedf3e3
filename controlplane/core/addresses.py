"""The addresses under which queues, their members and providers are called."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from urllib.parse import urlsplit

from controlplane.core.desired import Provider, Queue, Tenant
from controlplane.core.spec import MemberSpec, ProviderType

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"
MESSAGES = "/v1/messages"

_OPENAI_LIKE = (ProviderType.OPENAI, ProviderType.OPENAI_COMPATIBLE)
_EMBEDDINGS = (*_OPENAI_LIKE, ProviderType.VERTEX_AI)
_STANDARD_PATHS = ("", "/", "/v1", "/v1/", CHAT)
_SEGMENT = r"[A-Za-z0-9._~@+-][A-Za-z0-9._~:@+-]*"
# A segment that begins with a colon is a parameter to some routers.
_PLAIN_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def endpoint_override(provider: Provider) -> str | None:
    """The endpoint as the gateway needs it.

    Where only scheme and host are given, the gateway adds each protocol's own path. So the usual
    paths are dropped, else an embeddings call would be sent to the path of chat.
    """
    endpoint = provider.spec.endpoint
    if endpoint is None:
        return None
    parts = urlsplit(endpoint)
    if provider.spec.type in _OPENAI_LIKE and parts.path in _STANDARD_PATHS and not parts.query:
        return f"{parts.scheme}://{parts.netloc}"
    return endpoint


def protocols(members: Sequence[MemberSpec], providers: Mapping[str, Provider]) -> tuple[str, ...]:
    """The protocols that every one of the members speaks; messages are converted where need be."""
    spoken = [CHAT, RESPONSES, EMBEDDINGS, MESSAGES]
    for member in members:
        provider = providers[member.provider]
        if provider.spec.type not in _OPENAI_LIKE or _has_own_path(provider):
            spoken = [protocol for protocol in spoken if protocol != RESPONSES]
        if provider.spec.type not in _EMBEDDINGS or _has_own_path(provider):
            spoken = [protocol for protocol in spoken if protocol != EMBEDDINGS]
    return tuple(spoken)


def _has_own_path(provider: Provider) -> bool:
    endpoint = endpoint_override(provider)
    return endpoint is not None and urlsplit(endpoint).path not in ("", "/")


def hosts(tenant: Tenant | None, base_domain: str | None) -> list[str]:
    """The hosts under which what a tenant owns is served; none means every host."""
    if tenant is None or tenant.spec.subdomain is None or base_domain is None:
        return []
    return [f"{tenant.spec.subdomain}.{base_domain}"]


def names_of(queue: Queue) -> tuple[str, ...]:
    """How addresses name the queue: by its name and by its UUID."""
    return tuple(dict.fromkeys((queue.spec.name, str(queue.id))))


def queue_addresses(names: Sequence[str], spoken: Sequence[str]) -> list[str]:
    """The paths that name a queue of these names."""
    return [f"{CHAT}/queue/{name}" for name in names] + [
        f"/queues/{name}{protocol}" for name in names for protocol in spoken
    ]


def member_addresses(names: Sequence[str], tail: str) -> list[str]:
    return [f"{CHAT}/queue/{name}/{tail}" for name in names]


def provider_address(provider: Provider) -> str:
    return f"{CHAT}/{provider.spec.name}"


def members_by_tail(queue: Queue, providers: Mapping[str, Provider]) -> dict[str, tuple[MemberSpec, ...]]:
    """What may stand behind the queue in an address, and which members it picks.

    A member's name wins over a provider type, and that over a model. A model whose name cannot stand
    in a path is left out: its member's name still reaches it.
    """
    picks: dict[str, tuple[MemberSpec, ...]] = {member.name: (member,) for member in queue.spec.members}
    by_kind: dict[str, list[MemberSpec]] = {}
    by_model: dict[str, list[MemberSpec]] = {}
    for member in queue.spec.members:
        by_kind.setdefault(providers[member.provider].spec.type.value, []).append(member)
        if member.model is not None and _fits_path(member.model):
            by_model.setdefault(member.model, []).append(member)
    for tail, members in chain(by_kind.items(), by_model.items()):
        picks.setdefault(tail, tuple(members))
    return {tail: chosen for tail, chosen in picks.items() if any(member.weight for member in chosen)}


@lru_cache(maxsize=1000)
def _fits_path(model: str) -> bool:
    return bool(_PLAIN_PATH.fullmatch(model)) and not any(part in (".", "..") for part in model.split("/"))
