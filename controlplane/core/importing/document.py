"""A gateway's objects as one document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from controlplane.core.diff import LiveObject
from controlplane.core.importing.guards import GUARDING, guards_of
from controlplane.core.importing.keys import Consumer, asks_for_keys, keys_of, opens
from controlplane.core.importing.limits import request_limits, token_limits
from controlplane.core.importing.members import Providers, proxying
from controlplane.core.importing.notes import Json, Note, Notes, free_name, mapping
from controlplane.core.objects import OWNER_LABEL, Kind, ObjectKey
from controlplane.core.problems import problems_of
from controlplane.core.secrets import MASK, is_gateway_reference
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec

Value = dict[str, Any]  # Any: a declaration
Objects = Mapping[ObjectKey, LiveObject]
Bodies = Mapping[ObjectKey, Mapping[str, Json]]

_CARRIED = frozenset({
    *("ai-proxy", "ai-proxy-multi", "ai-rate-limiting", "limit-count", "limit-req", "limit-conn"),
    *("key-auth", "multi-auth", "consumer-restriction", *GUARDING),
})  # fmt: skip
_OWN = frozenset({
    *("id", "create_time", "update_time", "name", "desc", "labels", "uri", "uris", "methods", "status"),
    *("plugins", "service_id", "plugin_config_id", "priority", "upstream", "upstream_id", "enable_websocket"),
})  # fmt: skip
_TOP: Mapping[str, type[BaseModel]] = {"providers": ProviderSpec, "queues": QueueSpec, "keys": KeySpec}
_HELD = {"providers": "api_key", "keys": "key"}


@dataclass(frozen=True, slots=True)
class Imported:
    """A document, with what could not be expressed in it; each of its secrets reads `***`."""

    document: Value
    notes: tuple[Note, ...]
    secrets: Mapping[tuple[str, str], str] = field(repr=False)
    """The text of each secret, by section and name."""


def import_objects(objects: Objects, source: str = "default") -> Imported:
    """The routes to LLMs, their limits and their keys, without what carries our label already."""
    others = {
        key: live.body
        for key, live in objects.items()
        if not mapping(live.body.get("labels")).get(OWNER_LABEL)
    }
    notes = Notes()
    providers = Providers(notes)
    queues: dict[str, Value] = {}
    callable_by: dict[str, tuple[str, Mapping[str, Json]]] = {}
    for key, body in sorted(others.items()):
        if key.kind is not Kind.ROUTE:
            continue
        plugins = _plugins(key, body, others, notes)
        if queue := _queue(str(key), body, plugins, providers, queues):
            queues[queue["name"]] = queue
            if queue.get("access") != "open":
                callable_by[queue["name"]] = (str(key), plugins)
    keys: dict[str, Value] = {}
    secrets = {("providers", name): text for name, text in providers.secrets.items()}
    for consumer in _consumers(others):
        opened = [name for name, where in callable_by.items() if opens(consumer.name, *where, notes)]
        for declared, text in keys_of(consumer, opened, keys, notes):
            keys[declared["name"]] = declared
            if text is not None:
                secrets["keys", declared["name"]] = text
    sections = {"providers": providers.declared, "queues": queues, "keys": keys}
    return _finished(source, sections, secrets, notes)


def _plugins(key: ObjectKey, route: Mapping[str, Json], others: Bodies, notes: Notes) -> Mapping[str, Json]:
    """The plugins that a route runs: its own come first, then its plugin_config's, then its service's."""
    merged: dict[str, Json] = {}
    for kind, name in ((Kind.SERVICE, "service_id"), (Kind.PLUGIN_CONFIG, "plugin_config_id")):
        if name in route:
            parent = others.get(ObjectKey(kind, str(route[name])))
            if parent is None:
                notes.add(str(key), f"its {name} leads to nothing that can be read")
            merged |= mapping((parent or {}).get("plugins"))
    merged |= mapping(route.get("plugins"))
    return {
        name: config
        for name, config in merged.items()
        if mapping(mapping(config).get("_meta")).get("disable") is not True
    }


def _queue(
    about: str,
    route: Mapping[str, Json],
    plugins: Mapping[str, Json],
    providers: Providers,
    taken: Mapping[str, Value],
) -> Value | None:
    notes = providers.notes
    if "ai-proxy" not in plugins and "ai-proxy-multi" not in plugins:
        notes.add(about, "is no route to an LLM: left out")
        return None
    if route.get("status") == 0:
        notes.add(about, "is switched off: left out")
        return None
    queue: Value = {"name": free_name(route.get("name") or route.get("id"), taken, "queue")}
    if not asks_for_keys(plugins):
        queue["access"] = "open"
    queue |= proxying(about, plugins, providers)
    token_limits(about, mapping(plugins.get("ai-rate-limiting")), queue, notes)
    queue.pop("instances", None)
    request_limits(about, plugins, queue, notes)
    _without_keys(about, queue, notes)
    if guards := guards_of(about, plugins, notes):
        queue["guards"] = guards
    addresses = route.get("uris") or [route.get("uri")]
    notes.add(about, f"answers at {', '.join(map(str, addresses))}; the queue has addresses of its own")
    notes.unknown(about, "", route, _OWN)
    for plugin in plugins:
        if plugin not in _CARRIED:
            notes.add(about, f"the plugin {plugin} is not carried over")
    return queue


def _without_keys(about: str, queue: Value, notes: Notes) -> None:
    """A queue that is open to everybody cannot tell keys apart."""
    if queue.get("access") != "open" or not queue.get("limits"):
        return
    kept = [limit for limit in queue["limits"] if limit.get("by") != "key"]
    if len(kept) < len(queue["limits"]):
        notes.add(about, "a limit by consumer is not carried over, for the route asks for no key")
    queue["limits"] = kept


def _consumers(others: Bodies) -> list[Consumer]:
    credentials: dict[str, list[Mapping[str, Json]]] = {}
    for key, body in sorted(others.items()):
        if key.kind is Kind.CREDENTIAL:
            credentials.setdefault(key.id.partition("/")[0], []).append(body)
    return [
        Consumer(key.id, body, tuple(credentials.get(key.id, ())))
        for key, body in sorted(others.items())
        if key.kind is Kind.CONSUMER
    ]


def _finished(
    source: str,
    sections: Mapping[str, Mapping[str, Value]],
    secrets: Mapping[tuple[str, str], str],
    notes: Notes,
) -> Imported:
    """Only what the grammar takes, and what refers to nothing that it does not."""
    kept: dict[str, list[Value]] = {}
    held: dict[tuple[str, str], str] = {}
    for section, declared in sections.items():
        kept[section] = []
        for name, item in declared.items():
            missing = _missing(section, item, kept)
            if missing:
                notes.add(f"{section}.{name}", f"is left out with {missing}")
                continue
            if field_ := _HELD.get(section):
                text = secrets.get((section, name))
                if text is not None:
                    item = {**item, field_: text if is_gateway_reference(text) else MASK}
            if section == "keys":
                names = {queue["name"] for queue in kept["queues"]}
                item = {**item, "queues": [queue for queue in item["queues"] if queue in names]}
            if _accepted(section, name, item, notes):
                kept[section].append(item)
                if item.get(_HELD.get(section, "")) == MASK:
                    held[section, name] = secrets[section, name]
    document = {"version": 1, "source": source, **{name: found for name, found in kept.items() if found}}
    return Imported(document, tuple(notes.found), held)


def _missing(section: str, item: Value, kept: Mapping[str, list[Value]]) -> str | None:
    if section != "queues":
        return None
    there = {provider["name"] for provider in kept["providers"]}
    gone = [member["provider"] for member in item["members"] if member["provider"] not in there]
    return f"provider {gone[0]}" if gone else None


def _accepted(section: str, name: str, item: Value, notes: Notes) -> bool:
    model = _TOP[section]
    try:
        model.model_validate(item)
    except ValidationError as error:
        for problem in problems_of(error, model, item):
            notes.add(f"{section}.{name}", f"is left out: {problem.field} {problem.message}")
        return False
    return True
