"""The text of an apisix.yaml: how it is written, and how it is read back."""

from collections.abc import Iterable, Mapping, Sequence

import yaml

from controlplane.core.objects import Body, ObjectKey
from controlplane.gateway.sections import Sections, placed, section_of
from controlplane.gateway.yaml_lines import by_lines
from controlplane.gateway.yaml_nodes import (
    Raw,
    Unreadable,
    holds_marks,
    item_text,
    node_of,
    parsed,
    section_text,
)

END = "#END"
"""The mark at the end of the file; APISIX takes none without it."""


def text_of(sections: Mapping[str, Sequence[Raw]], others: Mapping[str, Raw]) -> str:
    """The file with these lists of objects and these other sections."""
    texts = {name: section_text(name, raw) for name, raw in others.items()}
    for name, items in sections.items():
        texts[name] = "".join([f"{name}:\n", *map(item_text, items)])
    # An APISIX that finds nothing in its file keeps what it had.
    return "".join([*(text for _, text in sorted(texts.items())), "" if texts else "{}\n", f"{END}\n"])


def rendered(objects: Iterable[tuple[ObjectKey, Body]]) -> str:
    """A file with nothing but these objects, laid out for people."""
    sections: dict[str, list[Raw]] = {}
    for key, body in objects:
        sections.setdefault(section_of(key), []).append(node_of(placed(key, body)))
    return text_of(sections, {})


def read(text: str) -> tuple[Sections[Raw], Mapping[str, Raw]]:
    """The lists of objects in a file, and whatever else it has. Raises Unreadable."""
    if not text.strip():
        return {}, {}
    if not text.rstrip().endswith(END):
        raise Unreadable(f"has no {END} as its last line, so that whoever writes it may not be done")
    if holds_marks(text):
        raise Unreadable("has a character of Unicode's private use area")
    if (found := by_lines(text)) is not None:
        return found
    try:
        return parsed(text)
    except yaml.MarkedYAMLError as error:
        # The error's own text quotes the line, which may hold a secret.
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise Unreadable(f"is no YAML{line}") from None
    except yaml.YAMLError:
        raise Unreadable("is no YAML") from None
