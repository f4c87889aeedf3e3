"""Templates to objects: Jinja places the values, and neither side is trusted alone.

A template can only place what its context holds. What comes out is parsed again, and its labels and
every amount that the context pins must be as the context says.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import BaseLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from controlplane.core.contexts import Context, CounterStore, Instance
from controlplane.core.objects import (
    HASH_LABEL,
    SECRET_MARK,
    GatewayObject,
    Json,
    ObjectKey,
    body_hash,
    found_at,
    packed,
    unpacked,
)
from controlplane.core.shapes import Shapes
from controlplane.errors import SluiceError


class BadTemplate(SluiceError):
    """A template does not give the object that its context describes."""


_OURS = (Context, Instance, CounterStore, ObjectKey)


class _Environment(SandboxedEnvironment):
    """The sandbox, which need not look twice at the fields of our own values."""

    def getattr(self, obj: Any, attribute: str) -> Any:  # Any: as Jinja has it
        if isinstance(obj, _OURS) and attribute[0] != "_":
            try:
                return getattr(obj, attribute)
            except AttributeError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


class Renderer:
    """Renders contexts with the templates of one loader, which are read once."""

    def __init__(self, loader: BaseLoader) -> None:
        self._environment = _Environment(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters["tojson"] = _tojson
        self._shapes = Shapes(self._environment, loader, _tojson)
        self._texts: dict[str, str] = {}

    def text(self, name: str) -> str:
        """A file beside the templates, as it is."""
        if name not in self._texts:
            loader = self._environment.loader
            assert loader is not None  # noqa: S101 - given in __init__
            self._texts[name] = loader.get_source(self._environment, name)[0].strip()
        return self._texts[name]

    def render(self, context: Context) -> GatewayObject:
        """The object of a context. Raises BadTemplate."""
        return self._shapes.render(context) or self.render_alone(context)

    def render_alone(self, context: Context) -> GatewayObject:
        """The object of a context, whatever was rendered before: what every other way must equal."""
        text = self._environment.get_template(context.template).render(context=context)
        try:
            body = unpacked(text.encode())
        except ValueError as error:
            raise BadTemplate(f"{context.template} gives no JSON for {context.key}: {error}") from None
        _check(context, body)
        digest = body_hash(body)
        body["labels"] = {**context.labels, HASH_LABEL: digest}
        # A copy, since orjson leaves room behind what it writes, and this is kept.
        return GatewayObject(context.key, bytes(memoryview(packed(body))), digest, context.declared_by)


def _tojson(value: Any) -> str:  # Any: whatever a template places
    text = packed(value).decode()
    if SECRET_MARK in text and _names_mark(value):
        raise BadTemplate(f"the name {SECRET_MARK} is reserved")
    return text


def _names_mark(value: Json) -> bool:
    if isinstance(value, Mapping):
        return SECRET_MARK in value or any(_names_mark(item) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_names_mark(item) for item in value)
    return False


def _check(context: Context, body: Json) -> None:
    if not isinstance(body, dict):
        raise BadTemplate(f"{context.template} gives no object for {context.key}")
    if body.get("labels") != dict(context.labels):
        raise BadTemplate(f"{context.template} must place the labels of {context.key} as they are")
    for path, wanted in context.pins.items():
        found = found_at(body, path)
        if found != wanted:
            where = "/".join(map(str, path))
            raise BadTemplate(f"{context.template} must place {wanted!r} at {where} of {context.key}")
