"""What a route asks of requests, as the guards of a queue."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.core.importing.notes import Json, Notes, items, mapping

GUARDING = ("ai-prompt-guard", "ip-restriction", "ai-prompt-decorator", "request-validation")
"""The plugins that are read here."""

Value = dict[str, Any]  # Any: a declaration


def guards_of(about: str, plugins: Mapping[str, Json], notes: Notes) -> Value:
    """The guards that the plugins of a route amount to."""
    parts = (_patterns, _addresses, _prompt, _headers)
    found: Value = {}
    for name, read in zip(GUARDING, parts, strict=True):
        found |= read(about, mapping(plugins.get(name)), notes)
    return found


def _patterns(about: str, config: Mapping[str, Json], notes: Notes) -> Value:
    notes.unknown(about, "ai-prompt-guard.", config, ("allow_patterns", "deny_patterns"))
    return {name: config[name] for name in ("deny_patterns", "allow_patterns") if config.get(name)}


def _addresses(about: str, config: Mapping[str, Json], notes: Notes) -> Value:
    notes.unknown(about, "ip-restriction.", config, ("whitelist", "blacklist"))
    names = {"whitelist": "allow_ips", "blacklist": "deny_ips"}
    return {ours: config[theirs] for theirs, ours in names.items() if config.get(theirs)}


def _prompt(about: str, config: Mapping[str, Json], notes: Notes) -> Value:
    """One system message before everything else; nothing else has a guard."""
    said = items(config.get("prepend"))
    simple = len(said) == 1 and said[0].get("role") == "system"
    notes.unknown(about, "ai-prompt-decorator.", config, ("prepend",) if simple or not said else ())
    return {"system_prompt": said[0].get("content")} if simple else {}


def _headers(about: str, config: Mapping[str, Json], notes: Notes) -> Value:
    """The headers that must be there; what they and the body must look like is not carried over."""
    notes.unknown(about, "request-validation.", config, ("header_schema",))
    schema = mapping(config.get("header_schema"))
    notes.unknown(about, "request-validation.header_schema.", schema, ("type", "required"))
    required = schema.get("required")
    return {"required_headers": required} if isinstance(required, Sequence) and required else {}
