"""Gateway objects of a declaration, compiled without a service."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2 import FileSystemLoader

from cli.declaration import Declaration
from controlplane.core.abilities import OURS, STOCK
from controlplane.core.compile import Compiler, Target
from controlplane.core.declaring import declare
from controlplane.core.desired import DesiredState, derived_id
from controlplane.core.objects import GatewayObject, resolve, secret_names
from controlplane.core.render import Renderer
from controlplane.core.secrets import MASK
from controlplane.errors import InvalidSpec, Problem
from controlplane.reconciler.wiring import TEMPLATES


@dataclass(frozen=True, slots=True)
class Rendered:
    """An object as a gateway takes it."""

    item: GatewayObject
    body: Mapping[str, Any]  # Any: the JSON of a gateway object


def compiled(
    declaration: Declaration, moment: datetime, *, owner: str, token_budget: bool
) -> tuple[GatewayObject, ...]:
    """The objects that the declaration needs on a gateway. Raises InvalidSpec, whose problems have places."""
    # No digest of a secret may get into what is printed, so every secret has the same one here.
    wanted = declare(declaration.document, DesiredState(), lambda _: "")
    problems = wanted.problems
    if not problems:
        compiler = Compiler(Renderer(FileSystemLoader(TEMPLATES)), Target(owner))
        made = compiler.compile(wanted.state, moment, OURS if token_budget else STOCK)
        problems = made.problems
    if problems:
        raise InvalidSpec(
            f"{declaration.file} cannot be rendered alone",
            problems=[declaration.placed(problem) for problem in problems],
        )
    return made.objects


def rendered(objects: tuple[GatewayObject, ...], texts: Mapping[str, str] | None) -> tuple[Rendered, ...]:
    """The objects with their secrets as these texts, or masked. Raises InvalidSpec for one without a text."""
    if texts is None:
        return tuple(Rendered(item, resolve(item.body, _Masks())) for item in objects)
    missing = sorted({item.declared_by for item in objects if secret_names([item]) - texts.keys()})
    if missing:
        problems = [Problem(name, "has no text of its own", "write its `key`") for name in missing]
        raise InvalidSpec("a key that the service would make up cannot be rendered", problems=problems)
    return tuple(Rendered(item, resolve(item.body, texts)) for item in objects)


def secret_texts(declaration: Declaration) -> dict[str, str]:
    """Every secret that the declaration holds, by the name of its handle."""
    held = [("provider", each.name, "api_key", each.api_key) for each in declaration.document.providers]
    held += [("rule", each.name, "api_key", each.api_key) for each in declaration.document.rules]
    held += [("key", each.name, "key", each.key) for each in declaration.document.keys]
    return {
        f"{kind}/{derived_id(kind, name)}/{place}": value.get_secret_value()
        for kind, name, place, value in held
        if value is not None and value.get_secret_value() != MASK
    }


class _Masks(dict[str, str]):
    """Every secret is the mask."""

    def __missing__(self, name: str) -> str:
        return MASK
