"""ctl validate: what a declaration says, checked without a service."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from cli.apply import FILE_HELP, Literals
from cli.session import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controlplane.core.declaring import Wanted
    from controlplane.errors import Problem


def add_to(app: typer.Typer) -> None:
    app.command()(validate)


def validate(
    files: Annotated[list[str] | None, typer.Argument(help="Files and folders, as hooks name them.")] = None,
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help=FILE_HELP)] = None,
    allow_literal_secrets: Literals = False,
) -> None:
    """Check a declaration without a service: its grammar, and that each limit can be enforced somewhere."""
    from cli.declaration import read_declaration
    from controlplane.core.abilities import OURS
    from controlplane.core.declaring import declare
    from controlplane.core.desired import DesiredState
    from controlplane.core.placing import unenforceable
    from controlplane.errors import InvalidSpec

    named = [*(file or ()), *(files or ())]
    declaration = read_declaration(named, os.environ, literal_secrets=allow_literal_secrets)
    wanted = declare(declaration.document, DesiredState(), lambda _: "")
    for found in declared_elsewhere(wanted):
        say(f"note: {declaration.placed(found)}")
    problems = [declaration.placed(found) for found in unenforceable(wanted.state, abilities=OURS)]
    if problems:
        raise InvalidSpec(f"{declaration.file} declares what cannot be enforced", problems=problems)
    say(f"{declaration.file} is valid")


def declared_elsewhere(wanted: "Wanted") -> "Iterator[Problem]":
    """References to what the declaration itself does not have, which a service may know."""
    from cli.grammar import elsewhere
    from controlplane.core.declaring import dangling
    from controlplane.core.problems import meant_by
    from controlplane.errors import Problem

    for name, tenant in wanted.state.tenants.items():
        tier, known = tenant.spec.tier, wanted.state.tiers
        if tier and known and tier not in known:
            message = f"there is no tier {tier!r} here, and without one it has no limits by it"
            remedy = meant_by(tier, list(known), "the service or a gateway must know it by then")
            yield Problem(f"tenants.{name}.tier", message, remedy)
    for found in dangling(wanted.changes, (wanted.state,)):
        yield elsewhere(found)
