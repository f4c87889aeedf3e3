"""An apisix.yaml by its lines: those of ours are JSON, and what others wrote keeps its own text.

JSON is YAML, and reading or writing it costs a fiftieth.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import orjson
import yaml

from controlplane.core.objects import Body, Json, ObjectKey
from controlplane.gateway.sections import Entry, Sections, key_of, placed
from controlplane.gateway.yaml_nodes import OPENING, Raw, Unreadable, node_of, only_entry, parsed

_ITEM = "- "
_HEADER = re.compile(r"([A-Za-z_]\w*):( .*)?")
_MORE_BREAKS = re.compile("[\r\x85\u2028\u2029]")
"""What ends a line in YAML, beside the newline."""
_ONLY_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ue000\ue001\ufeff\ufffe\uffff]")
"""What JSON takes as it is, and YAML does not, or we do not."""
_LONG_NAME = re.compile(r'"(?:[^"\\]|\\.){1000,}":')
"""YAML looks no further than 1,024 characters for the end of a name."""


def line_of(key: ObjectKey, body: Body) -> Entry[Raw]:
    """An object of ours as an item of its list, in one line."""
    item = placed(key, body)
    text = orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode()
    if _LONG_NAME.search(text):
        return Entry(key, item, node_of(item))
    if not text.isascii():
        text = _ONLY_ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    text = text.replace(OPENING, "$\\u007b{")  # APISIX would take it for a variable
    return Entry(key, item, f"{_ITEM}{text}\n")


def by_lines(text: str) -> tuple[Sections[Raw], Mapping[str, Raw]] | None:
    """What is in a file in which every section and every item starts a line; None if it is not so.

    Each piece has to be YAML by itself. Then it means the same among the others: what begins in one and ends
    in another, such as a text in quotes or what an alias stands for, makes neither of them YAML.
    """
    if _MORE_BREAKS.search(text):
        return None
    sections: dict[str, Sequence[Entry[Raw]]] = {}
    others: dict[str, Raw] = {}
    try:
        for name, head, items in _pieces(text):
            if name in sections or name in others:
                return None
            if items and head.strip() == f"{name}:":
                sections[name] = [_entry(name, item) for item in items]
                continue
            found, besides = parsed("".join([head, *items]))
            if (found.keys() | besides.keys()) - {name}:
                return None
            sections |= found
            others |= besides
    except (_NotByLines, Unreadable, yaml.YAMLError):
        return None
    return sections, others


class _NotByLines(Exception):
    """The text is laid out in another way."""


def _pieces(text: str) -> Iterator[tuple[str, str, Sequence[str]]]:
    """The sections: name, what comes before the first item, and the items with the comments above them."""
    name, head, items, comments = "", "", list[str](), ""
    for line in text.removesuffix("\n").split("\n"):
        whole = f"{line}\n"
        if line.startswith("#") or (comments and not line):
            comments += whole
        elif line.startswith(_ITEM) and name:
            items.append(comments + whole)
            comments = ""
        elif header := _HEADER.fullmatch(line):
            if name:
                yield name, head, items
            name, head, items, comments = header[1], whole, [], ""
        elif (line and line[0] != " ") or comments:
            raise _NotByLines
        elif items:
            items[-1] += whole
        else:
            head += whole
    if name:
        yield name, head, items


def _entry(section: str, text: str) -> Entry[Raw]:
    if text.count("\n") == 1 and text.startswith(f"{_ITEM}{{"):
        try:
            item: Json = orjson.loads(text[len(_ITEM) :])
        except ValueError:
            pass
        else:
            return Entry(key_of(section, item), item, text)
    entry = only_entry(section, text)
    if entry is None:
        raise _NotByLines
    return entry
