"""The text of an apisix.yaml: what of it stands for itself, what for a variable, and how it is read back."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from controlplane.core.objects import Body, Json, Kind, ObjectKey
from controlplane.gateway.sections import Entry, Sections, key_of, placed, section_of

END = "#END"
"""The mark at the end of the file; APISIX takes none without it."""

_OPENING = "${{"
_ESCAPED = "$\\x7B{"
"""The same in double quotes; APISIX does not take it for the opening of a variable."""
_VARIABLE = re.compile(r"\$\{\{(.*?)\}\}")
_HELD_OPEN, _HELD_CLOSE = "\ue000", "\ue001"
"""What stands for a variable's braces while the text is YAML, in which they may mean something else."""
_HELD = re.compile(f"{_HELD_OPEN}(.*?){_HELD_CLOSE}")
_PLAINLY_TEXT = re.compile(r"[A-Za-z/$].*")
_SEQUENCE, _MAPPING, _STRING = (f"tag:yaml.org,2002:{name}" for name in ("seq", "map", "str"))
_OURS = frozenset(map(section_of, (ObjectKey(kind, "") for kind in Kind)))
_TIMESTAMP = "tag:yaml.org,2002:timestamp"

Node = yaml.Node


class Unreadable(ValueError):
    """A text that is no apisix.yaml, and why."""


def text_of(sections: Mapping[str, Sequence[Node] | Node]) -> str:
    """The file with these sections, variables as they were and everything else as it is."""
    pairs: list[tuple[Node, Node]] = []
    for name in sorted(sections):
        found = sections[name]
        if not isinstance(found, Node):
            found = yaml.SequenceNode(_SEQUENCE, list(found), flow_style=False)
        pairs.append((_plain(name), found))
    whole = yaml.MappingNode(_MAPPING, pairs, flow_style=False)
    text: str = yaml.serialize(whole, Dumper=yaml.CSafeDumper, allow_unicode=True, width=4096)
    text = text.replace(_OPENING, _ESCAPED)
    return f"{_HELD.sub(_as_variable, text)}{END}\n"


def rendered(objects: Iterable[tuple[ObjectKey, Body]]) -> str:
    """A file with nothing but these objects."""
    sections: dict[str, list[Node]] = {}
    for key, body in objects:
        sections.setdefault(section_of(key), []).append(entry_of(key, body).raw)
    return text_of(sections)


def entry_of(key: ObjectKey, body: Body) -> Entry[Node]:
    """An object of ours as it stands in the file."""
    item = placed(key, body)
    return Entry(key, item, _Representer(default_flow_style=False, sort_keys=True).represent_data(item))


def read(text: str) -> tuple[Sections[Node], Mapping[str, Node]]:
    """The lists of objects in a file, and whatever else it has. Raises Unreadable."""
    if not text.strip():
        return {}, {}
    if not text.rstrip().endswith(END):
        raise Unreadable(f"has no {END} as its last line, so that whoever writes it may not be done")
    if _HELD_OPEN in text or _HELD_CLOSE in text:
        raise Unreadable("has a character of Unicode's private use area")
    loader = _Loader(_VARIABLE.sub(rf"{_HELD_OPEN}\1{_HELD_CLOSE}", text))
    try:
        root = loader.get_single_node()
        return _divided(loader, root)
    except yaml.MarkedYAMLError as error:
        # The error's own text quotes the line, which may hold a secret.
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise Unreadable(f"is no YAML{line}") from None
    except yaml.YAMLError:
        raise Unreadable("is no YAML") from None
    finally:
        loader.dispose()


def _divided(loader: "_Loader", root: Node | None) -> tuple[Sections[Node], Mapping[str, Node]]:
    if root is None:
        return {}, {}
    if not isinstance(root, yaml.MappingNode):
        raise Unreadable("is no mapping of sections")
    sections: dict[str, list[Entry[Node]]] = {}
    others: dict[str, Node] = {}
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


def _entry(loader: "_Loader", section: str, node: Node) -> Entry[Node]:
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


def _plain(name: str) -> Node:
    return yaml.ScalarNode(_STRING, name)


class _Loader(yaml.CSafeLoader):
    """Dates are text, as in JSON and for APISIX."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != _TIMESTAMP]
    for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class _Representer(yaml.representer.SafeRepresenter):
    """Texts of several lines as such; no anchors, so that every object stands for itself."""

    def ignore_aliases(self, data: Any) -> bool:  # Any: whatever is represented
        return True


def _text(representer: _Representer, value: str) -> yaml.ScalarNode:
    # APISIX's YAML takes more for a number than others do: 1e5, for one.
    quoted = _OPENING in value or not _PLAINLY_TEXT.fullmatch(value.partition("\n")[0])
    style = '"' if quoted else "|" if "\n" in value else None
    return representer.represent_scalar(_STRING, value, style=style)


_Representer.add_representer(str, _text)
