"""Revisions and the audit for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from cli.rendering import printable, table

Value = dict[str, Any]  # Any: a revision as the service shows it

_SIGNS = {"create": "+", "update": "~", "delete": "-"}
_ABSENT = "(absent)"


def history_table(revisions: Sequence[Value]) -> str:
    """A row for each revision."""
    rows = [
        [
            str(item["id"]),
            moment(item["created_at"]),
            item["author"],
            item["source"],
            str(item["objects"]),
            item["message"],
        ]
        for item in revisions
    ]
    return table(["REVISION", "AT", "AUTHOR", "SOURCE", "OBJECTS", "MESSAGE"], rows)


def head_text(revision: Value) -> str:
    """Who wrote a revision, when and why."""
    text = f"revision {revision['id']} of {moment(revision['created_at'])} by {revision['author']}"
    text += f", source {revision['source']}"
    return _line(f"{text}: {revision['message']}" if revision["message"] else text)


def changes_text(changes: Sequence[Value]) -> str:
    """What became of each object, field by field."""
    return "\n".join(_lines(changes))


def audit_table(rows: Sequence[Value]) -> str:
    """A row for each thing that was done."""
    lines = [
        [
            str(row["id"]),
            moment(row["at"]),
            row["author"],
            row["address"],
            row["action"],
            f"{row['kind']} {row['name']}",
            str(row["revision"] or ""),
        ]
        for row in rows
    ]
    return table(["ROW", "AT", "AUTHOR", "FROM", "ACTION", "OBJECT", "REVISION"], lines)


def moment(text: str) -> str:
    """A moment to the second, in UTC."""
    from datetime import UTC, datetime

    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def _lines(changes: Sequence[Value]) -> Iterator[str]:
    for change in changes:
        yield _line(f"{_SIGNS[change['action']]} {change['kind']} {change['name']}")
        for field in change["fields"]:
            if change["action"] == "delete":
                yield _line(f"    {field['field']}: {field['before']}")
            elif field["before"] == _ABSENT:
                yield _line(f"    {field['field']}: {field['after']}")
            else:
                yield _line(f"    {field['field']}: {field['before']} → {field['after']}")


def _line(text: str) -> str:
    return printable(text).replace("\n", " ")
