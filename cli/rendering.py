"""Values as tables, JSON and YAML. Nothing here knows where a value comes from or where the text goes."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

Value = dict[str, Any]  # Any: an object as the REST API shows it


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_yaml(value: object) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110).rstrip("\n")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; a cell never breaks its line."""
    lines = [headings, *([cell if cell.isprintable() else _cell(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def printable(text: str) -> str:
    """The text without what would steer a terminal; line ends stay."""
    return "\n".join(line if line.isprintable() else _masked(line) for line in text.split("\n"))


def _masked(line: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def _cell(text: str) -> str:
    return printable(text).replace("\n", " ")


def limit_in_words(limit: Value) -> str:
    """A limit as people say it: `500000 tokens per 1h by key`."""
    from controlplane.core.limits import Limit

    return str(Limit.model_validate({name: value for name, value in limit.items() if value is not None}))


def age(moment: str | None, now: datetime) -> str:
    """How long ago, in its largest unit."""
    if not moment:
        return "never"
    seconds = max(0, int((now - datetime.fromisoformat(moment)).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"


def _words(values: Sequence[Any] | None) -> str:
    return ", ".join(map(str, values or ()))


def _limits(item: Value) -> str:
    return "; ".join(limit_in_words(limit) for limit in item.get("limits") or ())


def _members(item: Value) -> str:
    return ", ".join(member["name"] for member in item["members"])


Cell = Callable[[Value], object]

_COLUMNS: dict[str, dict[str, Cell]] = {
    "queues": {
        "NAME": lambda item: item["name"],
        "ACCESS": lambda item: item.get("access"),
        "MEMBERS": _members,
        "LIMITS": _limits,
        "SOURCE": lambda item: item["source"],
    },
    "providers": {
        "NAME": lambda item: item["name"],
        "TYPE": lambda item: item["type"],
        "ENDPOINT": lambda item: item.get("endpoint"),
        "API KEY": lambda item: item.get("api_key"),
        "SOURCE": lambda item: item["source"],
    },
    "rules": {
        "NAME": lambda item: item["name"],
        "PATH": lambda item: item["path"] + ("/*" if item.get("match", "prefix") == "prefix" else ""),
        "METHODS": lambda item: _words(item.get("methods")) or "all",
        "TARGET": lambda item: item["target"],
        "ACCESS": lambda item: item.get("access"),
        "LIMITS": _limits,
        "SOURCE": lambda item: item["source"],
    },
    "keys": {
        "NAME": lambda item: item["name"],
        "QUEUES": lambda item: _words(item.get("queues")),
        "PROVIDERS": lambda item: _words(item.get("providers")),
        "RULES": lambda item: _words(item.get("rules")),
        "ENABLED": lambda item: "yes" if item.get("enabled", True) else "no",
        "EXPIRES": lambda item: item.get("expires_at"),
        "LAST USED": lambda item: item.get("last_used_at"),
        "SOURCE": lambda item: item["source"],
    },
    "tiers": {
        "NAME": lambda item: item["name"],
        "LIMITS": _limits,
        "SOURCE": lambda item: item["source"],
    },
    "tenants": {
        "NAME": lambda item: item["name"],
        "SUBDOMAIN": lambda item: item.get("subdomain"),
        "TIER": lambda item: item.get("tier"),
        "SOURCE": lambda item: item["source"],
    },
}


def objects_table(plural: str, items: Sequence[Value], now: datetime | None = None) -> str:
    """A row for each object of one kind."""
    if plural == "gateways":
        return gateways_table(items, now or datetime.now(UTC))
    columns = _COLUMNS[plural]
    return table(list(columns), [[str(cell(item) or "-") for cell in columns.values()] for item in items])


def gateways_table(items: Sequence[Value], now: datetime) -> str:
    rows = []
    for item in items:
        status = item.get("status") or {}
        state = status.get("state", "pending") if item.get("enabled", True) else "disabled"
        rows.append(
            [
                item["name"],
                item.get("kind", "apisix"),
                state,
                str(status.get("applied_revision", 0)),
                str(status.get("writes", 0)),
                age(status.get("last_pass"), now),
                item["admin_url"] or item["file"],
                _words([f"{name}={value}" for name, value in (item.get("labels") or {}).items()]) or "-",
                status.get("error") or "",
            ]
        )
    columns = ["NAME", "KIND", "STATE", "REVISION", "WRITES", "LAST PASS", "ADDRESS", "LABELS", "ERROR"]
    return table(columns, rows)


def changes_list(changes: Sequence[Value]) -> str:
    """What an apply changes, one line an object."""
    signs = {"create": "+", "update": "~", "delete": "-"}
    lines = []
    for change in changes:
        fields = (
            f"  ({', '.join(change['fields'])})" if change["action"] == "update" and change["fields"] else ""
        )
        lines.append(f"  {signs.get(change['action'], '?')} {change['kind']} {change['name']}{fields}")
    return "\n".join(lines)
