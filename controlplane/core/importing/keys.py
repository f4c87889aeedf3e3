"""Consumers with `key-auth` as keys."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.core.importing.limits import request_limits
from controlplane.core.importing.notes import Json, Notes, free_name, items, mapping

Value = dict[str, Any]  # Any: a declaration
_SHORTEST = 16
_OWN = ("username", "plugins", "desc", "labels", "id", "create_time", "update_time")


@dataclass(frozen=True, slots=True)
class Consumer:
    """Somebody whom the gateway knows, with the objects that their keys stand in."""

    name: str
    body: Mapping[str, Json]
    credentials: tuple[Mapping[str, Json], ...]


def asks_for_keys(plugins: Mapping[str, Json]) -> bool:
    """Whether a route lets in only those whom the gateway knows."""
    several = items(mapping(plugins.get("multi-auth")).get("auth_plugins"))
    return "key-auth" in plugins or any("key-auth" in item for item in several)


def opens(consumer: str, about: str, plugins: Mapping[str, Json], notes: Notes) -> bool:
    """Whether a consumer may call a route."""
    rule = mapping(plugins.get("consumer-restriction"))
    if not rule:
        return True
    if rule.get("type", "consumer_name") != "consumer_name":
        notes.add(about, "consumer-restriction is carried over only by consumer_name: every key opens it")
        return True
    if "whitelist" in rule:
        return consumer in (rule["whitelist"] or ())
    return consumer not in (rule.get("blacklist") or ())


def keys_of(
    consumer: Consumer, queues: Iterable[str], taken: Mapping[str, Value], notes: Notes
) -> list[tuple[Value, str | None]]:
    """The keys of a consumer, each with its text; both header forms of one key are one."""
    about = f"consumers/{consumer.name}"
    notes.unknown(about, "", consumer.body, _OWN)
    texts: dict[str, None] = {}
    for holder in (consumer.body, *consumer.credentials):
        plugins = mapping(holder.get("plugins"))
        for plugin in plugins:
            if plugin not in ("key-auth", "limit-count", "limit-conn"):
                notes.add(about, f"the plugin {plugin} is not carried over")
        text = mapping(plugins.get("key-auth")).get("key")
        if isinstance(text, str) and text:
            scheme, _, rest = text.partition(" ")
            texts[rest.strip() if scheme.lower() == "bearer" and rest else text] = None
    if not texts:
        notes.add(about, "has no key-auth, and so becomes no key")
    found: list[tuple[Value, str | None]] = []
    names = set(taken)
    for text in texts:
        name = free_name(consumer.name, names, "key")
        names.add(name)
        key: Value = {"name": name, "queues": sorted(queues)}
        request_limits(about, mapping(consumer.body.get("plugins")), key, notes)
        for limit in key.get("limits", ()):
            limit.pop("by", None)
        if not key["queues"]:
            notes.add(about, "opens no route to an LLM; its key opens nothing")
        found.append((key, _usable(about, text, notes)))
    return found


def _usable(about: str, text: str, notes: Notes) -> str | None:
    if text.startswith(("$env://", "$ENV://", "$secret://")):
        notes.add(about, "its key is a reference that only the gateway resolves: a new one is made")
        return None
    if len(text) < _SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
        notes.add(about, f"its key is not {_SHORTEST} visible characters or more: a new one is made")
        return None
    notes.add(about, "a gateway holds a key's text only once: remove it there when the file is applied to it")
    return text
