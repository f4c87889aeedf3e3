"""Templates to objects: Jinja places the values, and neither side is trusted alone.

A template can only place what its context holds. What comes out is parsed again, and its labels and
every amount that the context pins must be as the context says.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import BaseLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from controlplane.core.contexts import Context
from controlplane.core.objects import HASH_LABEL, GatewayObject, Json, body_hash
from controlplane.core.secrets import GatewaySecret, SecretRef
from controlplane.errors import SluiceError

_SECRET = "$sluice-secret"  # noqa: S105 - the marker of a handle, no secret


class BadTemplate(SluiceError):
    """A template does not give the object that its context describes."""


class Renderer:
    """Renders contexts with the templates of one loader."""

    def __init__(self, loader: BaseLoader) -> None:
        self._environment = SandboxedEnvironment(
            loader=loader, undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.filters["tojson"] = _tojson

    def text(self, name: str) -> str:
        """A file beside the templates, as it is."""
        loader = self._environment.loader
        assert loader is not None  # noqa: S101 - given in __init__
        return loader.get_source(self._environment, name)[0].strip()

    def render(self, context: Context) -> GatewayObject:
        """The object of a context. Raises BadTemplate."""
        text = self._environment.get_template(context.template).render(context=context)
        try:
            body = json.loads(text, object_hook=_handles)
        except json.JSONDecodeError as error:
            raise BadTemplate(f"{context.template} gives no JSON for {context.key}: {error}") from None
        _check(context, body)
        digest = body_hash(body)
        body["labels"] = {**context.labels, HASH_LABEL: digest}
        return GatewayObject(context.key, body, digest, context.declared_by)


def _handles(value: dict[str, Json]) -> Json:
    if _SECRET not in value:
        return value
    kind, name, mark, prefix = value[_SECRET]
    return SecretRef(name, mark, prefix) if kind == "sealed" else GatewaySecret(name, prefix)


def _default(value: object) -> Json:
    if isinstance(value, SecretRef):
        return {_SECRET: ["sealed", value.name, value.fingerprint, value.prefix]}
    if isinstance(value, GatewaySecret):
        return {_SECRET: ["gateway", value.reference, "", value.prefix]}
    raise TypeError(f"a template was given a {type(value).__name__}, which has no place in JSON")


def _tojson(value: Any) -> str:  # Any: whatever a template places
    if _names_marker(value):
        raise BadTemplate(f"the name {_SECRET} is reserved")
    return json.dumps(value, default=_default, ensure_ascii=False)


def _names_marker(value: Json) -> bool:
    if isinstance(value, Mapping):
        return _SECRET in value or any(_names_marker(item) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_names_marker(item) for item in value)
    return False


def _check(context: Context, body: Json) -> None:
    if not isinstance(body, dict):
        raise BadTemplate(f"{context.template} gives no object for {context.key}")
    if body.get("labels") != dict(context.labels):
        raise BadTemplate(f"{context.template} must place the labels of {context.key} as they are")
    for path, wanted in context.pins.items():
        found = _at(body, path)
        if found != wanted:
            where = "/".join(map(str, path))
            raise BadTemplate(f"{context.template} must place {wanted!r} at {where} of {context.key}")


def _at(body: Json, path: Sequence[str | int]) -> Json:
    value = body
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
