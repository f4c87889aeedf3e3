"""YAML as most declarations have it, without anchors and tags, read from what the parser in C tells.

No place is known of what is read so: whoever has something to say against it reads the text by its nodes.
"""

from typing import Any

import yaml
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from cli.reading import DEEPEST, MOST_VALUES, NotPlain, Replace, replace_texts
from cli.yaml_nodes import UntakenTag, scalar_value

_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_values(text: str, replace: Replace) -> dict[str, Any] | None:  # Any: what a file says
    """What is declared; None for a text that is not plain, or has a mistake.

    `replace` is asked about those texts alone that may have a reference or be a secret, and is told no mark.
    """
    if "&" in text:
        return None  # most likely an anchor, and then not for the first time
    try:
        values = _Reader(text).document()
        replace_texts(values, replace)
    except (NotPlain, UntakenTag, ValueError, yaml.YAMLError):
        return None
    return values


class _Reader:
    def __init__(self, text: str) -> None:
        self._parser = _Parser(text)
        self._next = self._parser.get_event
        self._constructor = yaml.constructor.SafeConstructor()
        self._count = 0
        self._known: dict[str, Any] = {}
        """What scalars without quotes mean: most of a file are the same few."""

    def document(self) -> dict[str, Any]:
        self._expect(StreamStartEvent)
        self._expect(DocumentStartEvent)
        values = self._value(self._next(), 0)
        self._expect(DocumentEndEvent)
        self._expect(StreamEndEvent)
        if not isinstance(values, dict):
            raise NotPlain
        return values

    def _expect(self, kind: type[Event]) -> None:
        if not isinstance(self._next(), kind):
            raise NotPlain

    def _value(self, event: Any, depth: int) -> Any:
        kind = type(event)
        self._count += 1
        if event.anchor or self._count > MOST_VALUES or depth > DEEPEST:
            raise NotPlain
        if kind is ScalarEvent and not event.tag:
            return self._scalar(event.value) if event.implicit[0] else event.value
        if kind is MappingStartEvent and not event.tag:
            return self._mapping(depth)
        if kind is SequenceStartEvent and not event.tag:
            return self._list(depth)
        raise NotPlain

    def _mapping(self, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while type(key := self._next()) is not MappingEndEvent:
            if type(key) is not ScalarEvent or key.anchor or key.tag:
                raise NotPlain
            name = key.value
            if name in values or name == "<<":
                raise NotPlain
            values[name] = self._value(self._next(), depth + 1)
        return values

    def _list(self, depth: int) -> list[Any]:
        values = []
        while type(event := self._next()) is not SequenceEndEvent:
            values.append(self._value(event, depth + 1))
        return values

    def _scalar(self, text: str) -> Any:
        if text not in self._known:
            tag = self._parser.resolve(yaml.ScalarNode, text, (True, False))
            self._known[text] = scalar_value(yaml.ScalarNode(tag, text), self._constructor)
        return self._known[text]
