"""YAML as an apisix.yaml has it: variables kept apart, dates as text, numbers as APISIX takes them."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from controlplane.core.objects import Json, Kind, ObjectKey
from controlplane.gateway.sections import Entry, Sections, key_of, section_of

OPENING = "${{"
"""The opening of a variable, which APISIX puts in before it reads the YAML."""

Node = yaml.Node
Raw = str | Node
"""An object of a file as it stood: its lines, or what they mean."""

_ESCAPED = "$\\x7B{"
"""The opening in double quotes; APISIX does not take it for a variable."""
_VARIABLE = re.compile(r"\$\{\{(.*?)\}\}")
_HELD_OPEN, _HELD_CLOSE = "\ue000", "\ue001"
"""What stands for a variable's braces while the text is YAML, in which they may mean something else."""
_HELD = re.compile(f"{_HELD_OPEN}(.*?){_HELD_CLOSE}")
_PLAINLY_TEXT = re.compile(r"[A-Za-z/$].*")
_SEQUENCE, _MAPPING, _STRING, _TIMESTAMP, _FLOAT = (
    f"tag:yaml.org,2002:{name}" for name in ("seq", "map", "str", "timestamp", "float")
)
_OURS = frozenset(map(section_of, (ObjectKey(kind, "") for kind in Kind)))


class Unreadable(ValueError):
    """A text that is no apisix.yaml, and why."""


def parsed(text: str) -> tuple[Sections[Raw], Mapping[str, Raw]]:
    """The lists of objects in YAML, and whatever else it has. Raises Unreadable and yaml.YAMLError."""
    loader = _loader(text)
    try:
        return _divided(loader, loader.get_single_node())
    finally:
        loader.dispose()


def only_entry(section: str, text: str) -> Entry[Raw] | None:
    """The object in a list of one, with its text; None if it is no such list. Raises yaml.YAMLError."""
    loader = _loader(text)
    try:
        root = loader.get_single_node()
        if not isinstance(root, yaml.SequenceNode) or len(root.value) != 1:
            return None
        entry = _entry(loader, section, root.value[0])
        return Entry(entry.key, entry.body, text)
    finally:
        loader.dispose()


def holds_marks(text: str) -> bool:
    """Whether a text has the characters that are to stand for the braces of variables."""
    return _HELD_OPEN in text or _HELD_CLOSE in text


def item_text(raw: Raw) -> str:
    """An object as an item of its list."""
    return raw if isinstance(raw, str) else _text(yaml.SequenceNode(_SEQUENCE, [raw], flow_style=False))


def section_text(name: str, raw: Raw) -> str:
    """A section that is no list of objects."""
    if isinstance(raw, str):
        return raw
    return _text(yaml.MappingNode(_MAPPING, [(yaml.ScalarNode(_STRING, name), raw)], flow_style=False))


def node_of(item: Json) -> Node:
    """An object of ours in block style, for people."""
    return _Representer(default_flow_style=False, sort_keys=True).represent_data(item)


def _text(node: Node) -> str:
    text: str = yaml.serialize(node, Dumper=_Dumper, allow_unicode=True, width=4096)
    return _HELD.sub(_as_variable, text.replace(OPENING, _ESCAPED))


def _loader(text: str) -> "_Loader":
    return _Loader(_VARIABLE.sub(rf"{_HELD_OPEN}\1{_HELD_CLOSE}", text))


def _divided(loader: "_Loader", root: Node | None) -> tuple[Sections[Raw], Mapping[str, Raw]]:
    if root is None:
        return {}, {}
    if not isinstance(root, yaml.MappingNode):
        raise Unreadable("is no mapping of sections")
    sections: dict[str, list[Entry[Raw]]] = {}
    others: dict[str, Raw] = {}
    for name_node, value in root.value:
        name = str(name_node.value)
        if isinstance(value, yaml.SequenceNode):
            sections[name] = [_entry(loader, name, node) for node in value.value]
        elif name in _OURS:
            if loader.construct_document(value) is not None:
                raise Unreadable(f"has {name} that are no list")
        else:
            others[name] = value
    return sections, others


def _entry(loader: "_Loader", section: str, node: Node) -> Entry[Raw]:
    item = _with_variables(loader.construct_document(node))
    return Entry(key_of(section, item), item if isinstance(item, dict) else {}, node)


def _with_variables(value: Json) -> Json:
    if isinstance(value, str):
        return _HELD.sub(_as_variable, value) if _HELD_OPEN in value else value
    if isinstance(value, dict):
        return {_with_variables(name): _with_variables(item) for name, item in value.items()}
    return [_with_variables(item) for item in value] if isinstance(value, list) else value


def _as_variable(found: re.Match[str]) -> str:
    return f"${{{{{found[1]}}}}}"


class _Loader(yaml.CSafeLoader):
    """Dates are text, as in JSON and for APISIX; `1e5` is a number, for both."""


class _Dumper(yaml.CSafeDumper):
    """Takes a text for what the loader takes it for."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != _TIMESTAMP]
    for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_EXPONENT = re.compile(r"[-+]?[0-9][0-9.]*[eE][-+]?[0-9]+\Z")
_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789"))
_Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


class _Representer(yaml.representer.SafeRepresenter):
    """Texts of several lines as such; no anchors, so that every object stands for itself."""

    def ignore_aliases(self, data: Any) -> bool:  # Any: whatever is represented
        return True


def _scalar(representer: _Representer, value: str) -> yaml.ScalarNode:
    # APISIX's YAML takes more for a number than others do: 1e5, for one.
    quoted = OPENING in value or not _PLAINLY_TEXT.fullmatch(value.partition("\n")[0])
    style = '"' if quoted else "|" if "\n" in value else None
    return representer.represent_scalar(_STRING, value, style=style)


_Representer.add_representer(str, _scalar)
