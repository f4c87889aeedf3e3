"""Plans on the side of `ctl`: asked for, judged, kept in a file and read back."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.exit_codes import ExitCode
from cli.private_file import write_private
from controlplane.errors import InvalidSpec, SluiceError

if TYPE_CHECKING:
    from cli.declaration import Declaration
    from cli.service import Service, ServiceRefused

Value = dict[str, Any]  # Any: a plan as the service shows it

FORMAT_VERSION = 1
_OPTIONS = ("prune", "allow_mass_delete", "allow_leftovers", "refresh", "validate_on_gateway")


def plan_of(
    service: "Service", declaration: "Declaration", options: dict[str, bool], digest: str | None = None
) -> Value:
    """What the declaration would change."""
    with led_back(declaration):
        made = service.plan(declaration.data, options, digest)
    for refusal in made["refusals"]:
        if refusal["about"] and (place := declaration.place_of(refusal["about"])):
            refusal["at"] = str(place)
    return made


@contextmanager
def led_back(declaration: "Declaration") -> Iterator[None]:
    """What the service says against the declaration is led back to its lines."""
    from cli.service import ServiceRefused

    try:
        yield
    except SluiceError as error:
        # What the grammar says against it is told first, whatever else is wrong and wherever it was found.
        declaration.check()
        if isinstance(error, ServiceRefused):
            raise placed(error, declaration) from error
        raise


def placed(error: "ServiceRefused", declaration: "Declaration") -> "ServiceRefused":
    """The service's refusal with file, line and column."""
    from cli.service import ServiceRefused

    return ServiceRefused(
        f"{declaration.file} was not accepted: {error.message}",
        status=error.status,
        remedy=error.remedy,
        problems=tuple(declaration.placed(problem) for problem in error.problems),
    )


def exit_code(plan: Value) -> ExitCode:
    """What a plan says to a script. A refusal weighs more than drift, and drift more than changes."""
    if plan["refusals"]:
        return ExitCode.REFUSED
    if plan["summary"]["drift"]:
        return ExitCode.DRIFT
    if plan["changes"] or plan["summary"]["writes"]:
        return ExitCode.CHANGES
    return ExitCode.OK


def keep(plan: Value, files: Sequence[str], path: Path) -> None:
    """Write a plan to a file that only its owner reads, whole or not at all."""
    kept = {**plan, "files": list(files)}
    write_private(path, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def kept(path: Path) -> Value:
    """A plan that was kept. Raises InvalidSpec for anything else."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSpec(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        plan = None
    if not isinstance(plan, dict) or "format_version" not in plan:
        raise InvalidSpec(f"{path} is no plan", remedy="`ctl plan --out` writes one")
    if plan["format_version"] != FORMAT_VERSION:
        found = str(plan["format_version"])[:20]
        raise InvalidSpec(
            f"{path} has the format version {found}, and this ctl reads {FORMAT_VERSION}",
            remedy="plan again with this ctl",
        )
    expected = (("fingerprint", str), ("document", str), ("options", dict), ("files", list))
    if not all(isinstance(plan.get(name), kind) for name, kind in expected):
        raise InvalidSpec(f"{path} is no whole plan", remedy="`ctl plan --out` writes one")
    if not all(isinstance(name, str) for name in plan["files"]):
        raise InvalidSpec(f"{path} is no whole plan", remedy="`ctl plan --out` writes one")
    return plan


def says_all_of(plan: Value, now: Value) -> bool:
    """Whether a kept plan tells everything that it would do now.

    It may tell of more steps: what was still on its way when it was made needs no step any more.
    """
    try:
        declared, steps = _contents(plan)
    except (KeyError, TypeError):
        return False
    declared_now, steps_now = _contents(now)
    return declared == declared_now and steps >= steps_now


def _contents(plan: Value) -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
    """What a plan changes of what is declared, and its steps on every gateway."""
    declared = ((item["action"], item["kind"], item["name"]) for item in plan["changes"])
    steps = (
        (gateway["name"], step["action"], step["object"], str(step["hash"]))
        for gateway in plan["gateways"]
        for step in gateway["steps"]
    )
    return frozenset(declared), frozenset(steps)


def options_of(plan: Value) -> dict[str, bool]:
    """The options with which a kept plan was made."""
    return {name: plan["options"].get(name) is True for name in _OPTIONS}
