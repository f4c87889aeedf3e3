"""What a template does with its context, told by its syntax tree, and the template with marks in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from jinja2 import BaseLoader, Environment, Template, nodes

from controlplane.core.contexts import OWN_FIELDS

Path: TypeAlias = str
"""A field of a context, such as `key.id`."""

MARK = "$sluice-place:"
_CONTEXT = "context"
_PURE_FILTERS = ("tojson", "dictsort")

# What these nodes do depends on the values below them alone; any other may do anything.
_PURE = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Include, nodes.Name),
    *(nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Test, nodes.Filter, nodes.Not, nodes.And, nodes.Or),
    *(nodes.Compare, nodes.Operand, nodes.Tuple),
)


@dataclass
class Uses:
    """What a template does with the fields of its context."""

    placed: set[Path] = field(default_factory=set)
    """Put into the text as they are, `{{ context.uris | tojson }}`, and likely to be this object's own."""
    tested: set[Path] = field(default_factory=set)
    """Asked whether they hold anything."""
    asked: set[Path] = field(default_factory=set)
    """Asked whether they are none."""
    read: set[Path] = field(default_factory=set)
    """Anything else."""
    known: bool = True
    """Whether that is all."""

    def note(self, node: nodes.Node) -> None:
        """Take in what a part of a syntax tree does."""
        path = _path(node)
        if path is not None:
            self.read.add(path)
        elif isinstance(node, nodes.Output):
            for item in node.nodes:
                placed = _placed(item)
                if placed is not None:
                    self.placed.add(placed)
                else:
                    self.note(item)
        else:
            self.known &= _is_pure(node)
            condition = node.test if isinstance(node, nodes.If) else None
            if condition is not None:
                self._note_condition(condition)
            for child in node.iter_child_nodes():
                if child is not condition:
                    self.note(child)

    def _note_condition(self, node: nodes.Node) -> None:
        path = _path(node)
        if path is not None:
            self.tested.add(path)
        elif isinstance(node, nodes.Test) and node.name == "none" and (path := _path(node.node)) is not None:
            self.asked.add(path)
        elif isinstance(node, nodes.Not | nodes.And | nodes.Or):
            for child in node.iter_child_nodes():
                self._note_condition(child)
        else:
            self.note(node)


def _is_pure(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Name):
        # A bare context could be handed anywhere, and one of that name that is set here is another one.
        return node.name != _CONTEXT
    if isinstance(node, nodes.Filter):
        return node.name in _PURE_FILTERS
    if isinstance(node, nodes.Include):
        return isinstance(node.template, nodes.Const) and node.with_context
    return isinstance(node, _PURE)


def _path(node: nodes.Node | None) -> Path | None:
    """The field that an expression names, if it names nothing but a field of the context."""
    names: list[str] = []
    while isinstance(node, nodes.Getattr):
        names.append(node.attr)
        node = node.node
    named = names and isinstance(node, nodes.Name) and node.name == _CONTEXT
    return ".".join(reversed(names)) if named and not any(name.startswith("_") for name in names) else None


def _placed(node: nodes.Node) -> Path | None:
    """The field of an object's own that is placed as it is: `context.uris | tojson`."""
    alone = isinstance(node, nodes.Filter) and node.name == "tojson" and not (node.args or node.kwargs)
    path = _path(node.node) if alone and isinstance(node, nodes.Filter) else None
    return path if path is not None and path.partition(".")[0] in OWN_FIELDS else None


class MarkingLoader(BaseLoader):
    """The templates of another loader, with marks for the objects' own values that they place as they are."""

    def __init__(self, loader: BaseLoader) -> None:
        self._loader = loader

    # Any: variables of every template, as Jinja has it.
    def load(self, environment: Environment, name: str, globals: Any = None) -> Template:  # noqa: A002 - Jinja's
        """The marked template; it gives what the plain one does, with `MARK` and a path for such values."""
        tree = self._tree(environment, name)
        for output in tree.find_all(nodes.Output):
            output.nodes = [_marked(node) for node in output.nodes]
        variables: Mapping[str, Any] = globals or {}
        code = environment.compile(tree, name)
        return environment.template_class.from_code(environment, code, dict(variables))

    def uses(self, environment: Environment, name: str) -> Uses:
        """What the template does, and what those do that it includes."""
        found, left = Uses(), [name]
        while left:
            tree = self._tree(environment, left.pop())
            found.note(tree)
            included = (node.template for node in tree.find_all(nodes.Include))
            left += [template.value for template in included if isinstance(template, nodes.Const)]
        return found

    def _tree(self, environment: Environment, name: str) -> nodes.Template:
        return environment.parse(self._loader.get_source(environment, name)[0], name)


def _marked(node: nodes.Expr) -> nodes.Expr:
    path = _placed(node)
    return node if path is None else nodes.TemplateData(f'"{MARK}{path}"')
