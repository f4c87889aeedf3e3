"""YAML as plain values, with the line and column of each, read by the rules of YAML 1.2 where 1.1 surprises.

`yes` and `on` are texts, `0123` is 123, `1:30` and `2030-01-31` are texts; a name that is written twice is an
error; aliases may not grow a file beyond measure.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import yaml

from cli.reading import DEEPEST, MOST_VALUES, Loc, Mark, Position, Replace

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_DECIMAL = re.compile(r"[-+]?[0-9][0-9_]*")


class YamlProblem(Exception):
    """The text is no YAML that we take."""

    def __init__(self, position: Position, message: str, remedy: str) -> None:
        super().__init__(message)
        self.position = position
        self.message = message
        self.remedy = remedy


class UntakenTag(Exception):
    """A scalar of a kind that no declaration has."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # one of the two
    """Goes no deeper than `DEEPEST`: the parser in C would follow any text, whatever the stack holds."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def descend_resolver(self, parent: yaml.Node | None, _: object) -> None:
        self._depth += 1
        if self._depth > DEEPEST + 1 and parent is not None:
            raise YamlProblem(Position.of(parent.start_mark), "is nested too deeply", "write it flatter")

    def ascend_resolver(self) -> None:
        self._depth -= 1


@dataclass
class Reader:
    """Turns one text into values. `replace` sees every text value and says what stands in its place.

    What is wrong with one value is put into `problems`, and reading goes on with None in its place.
    """

    replace: Replace
    marks: dict[Loc, Mark] = field(default_factory=dict)
    """Where each value stands: the name before it, if it has one."""
    problems: list[YamlProblem] = field(default_factory=list)
    broken: set[Loc] = field(default_factory=set)
    """Where None stands for a value that could not be read."""

    def __post_init__(self) -> None:
        self._constructor = yaml.constructor.SafeConstructor()
        self._open: set[int] = set()
        self._count = 0

    def read(self, text: str) -> Any:  # Any: what a file says, not checked yet
        """The values of the text. Raises YamlProblem where it cannot be read to its end."""
        try:
            node = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            position = Position.of(error.problem_mark) if error.problem_mark else Position(1, 1)
            raise YamlProblem(position, f"{error.problem}", "mend the YAML there") from None
        except yaml.YAMLError:
            raise YamlProblem(
                Position(1, 1), "has characters that YAML does not allow", "remove them"
            ) from None
        if node is None:
            raise YamlProblem(
                Position(1, 1), "the file is empty", "declare something: queues, providers, keys"
            )
        self.marks[()] = node.start_mark
        return self._value(node, ())

    def _value(self, node: yaml.Node, loc: Loc) -> Any:
        here = node.start_mark
        self._count += 1
        if self._count > MOST_VALUES or len(loc) > DEEPEST:
            message = "the file is too large with its aliases written out"
            raise YamlProblem(Position.of(here), message, "split it")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc, here)
        if id(node) in self._open:
            raise YamlProblem(Position.of(here), "the alias contains itself", "write the value out")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return self._list(node, loc)
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, loc)
        finally:
            self._open.discard(id(node))
        return self._broken(loc, here, "has a tag that is not taken", "remove the tag")

    def _broken(self, loc: Loc, here: Mark, message: str, remedy: str) -> None:
        self.broken.add(loc)
        self._wrong(here, message, remedy)

    def _wrong(self, here: Mark, message: str, remedy: str) -> None:
        self.problems.append(YamlProblem(Position.of(here), message, remedy))

    def _list(self, node: yaml.SequenceNode, loc: Loc) -> list[Any]:
        values = []
        for index, item in enumerate(node.value):
            self.marks[here := (*loc, index)] = item.start_mark
            values.append(self._value(item, here))
        return values

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        seen: set[str] = set()
        merges = False
        for key, _ in node.value:
            name = self._name(key)
            if key.tag == _MERGE:
                merges = True
            elif name in seen:
                self._wrong(key.start_mark, f"{name!r} is written twice", "keep one of the two")
            seen.add(name)
        if merges:
            self._merge(node)
        # A merged name comes first and one that is written here after it, which therefore wins.
        last = {self._name(key): (key, value) for key, value in node.value}
        values: dict[str, Any] = {}
        for name, (key, value) in last.items():
            self.marks[here := (*loc, name)] = key.start_mark
            values[name] = self._value(value, here)
        return values

    def _merge(self, node: yaml.MappingNode) -> None:
        """Put what `<<` names in its place."""
        try:
            self._constructor.flatten_mapping(node)
        except yaml.constructor.ConstructorError as error:
            raise YamlProblem(Position.of(node.start_mark), f"{error.problem}", "mend the merge") from None

    def _name(self, key: yaml.Node) -> str:
        if not isinstance(key, yaml.ScalarNode):
            raise YamlProblem(Position.of(key.start_mark), "a name must be a text", "write name: value")
        return str(key.value)

    def _scalar(self, node: yaml.ScalarNode, loc: Loc, here: Mark) -> Any:
        try:
            value = scalar_value(node, self._constructor)
        except UntakenTag:
            return self._broken(loc, here, "has a tag that is not taken", "remove the tag")
        except ValueError:
            return self._broken(loc, here, "is no number that can be read", "write a smaller one")
        return self.replace(loc, value, here) if isinstance(value, str) else value


def scalar_value(
    node: yaml.ScalarNode, constructor: yaml.constructor.SafeConstructor
) -> str | float | bool | None:
    """What a scalar means. Raises UntakenTag, and ValueError for a number that cannot be read."""
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    if kind == "null" and not node.style:
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in ("int", "float") and ":" not in text:
        if kind == "int" and _DECIMAL.fullmatch(text):
            return int(text.replace("_", ""))
        number: int | float = constructor.construct_object(node)
        return number
    if kind in ("str", "bool", "int", "float", "timestamp", "null", "value"):
        return text
    raise UntakenTag


def marks_of(text: str) -> Mapping[Loc, Mark]:
    """Where each value of a text stands that has been read in another way; as far as YAML goes along."""
    reader = Reader(lambda _, value, __: value)
    with suppress(YamlProblem):
        reader.read(text)
    return reader.marks
