"""What became of an apply: a progress bar while it goes on, and a row for every object at its end."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer

from cli.converging import Convergence, wait_until_converged
from cli.exit_codes import ExitCode
from cli.rendering import gateways_table, table
from cli.service import Json, Service, path_of
from cli.session import say, say_error
from controlplane.clock import SystemClock

Value = dict[str, Any]  # Any: a plan as the service shows it

_DONE = {"create": "created", "update": "updated", "delete": "deleted"}


def show_results(service: Service, done: Json, plan: Value, timeout_s: float) -> ExitCode:
    """Wait for every gateway, and say what became of each object."""
    revision = int(done["revision"])
    try:
        convergence = _waited(service, revision, plan, timeout_s)
    except KeyboardInterrupt:
        return interrupted(f"revision {revision} is stored")
    if not convergence.gateways:
        say("no gateway is enabled, so nothing enforces this yet")
        return ExitCode.OK
    _show_objects(service, convergence, plan)
    say(gateways_table(convergence.gateways, datetime.now(UTC)))
    if convergence.done:
        return ExitCode.OK
    for gateway in convergence.behind:
        status = gateway["status"]
        why = status.get("error") or f"not at revision {revision} within {timeout_s:g} s"
        say_error(f"error: gateway {gateway['name']} is {status['state']}: {why}")
    say(f"revision {revision} is stored and the service goes on trying; see `ctl get gateways`")
    return ExitCode.PARTLY_APPLIED


def interrupted(stored: str) -> ExitCode:
    """Say what an interruption leaves behind: from the first byte sent on, it cannot be taken back."""
    say_error(f"interrupted: {stored}, and the service goes on without this command")
    say("`ctl history` shows what is stored, `ctl get gateways` what became of it")
    return ExitCode.PARTLY_APPLIED


def _waited(service: Service, revision: int, plan: Value, timeout_s: float) -> Convergence:
    started = {gateway["name"]: gateway["writes"] for gateway in plan["gateways"]}
    with _progress(plan["summary"]["writes"]) as bar:

        def moved(gateways: Sequence[Json]) -> None:
            written = sum(
                gateway["status"]["writes"] - started[gateway["name"]]
                for gateway in gateways
                if gateway["name"] in started
            )
            bar.update(max(0, min(written, plan["summary"]["writes"]) - bar.pos))

        return wait_until_converged(service, revision, timeout_s, SystemClock(), moved=moved)


@contextmanager
def _progress(length: int) -> Iterator[Any]:  # Any: Typer does not export its bar's type
    hidden = not sys.stderr.isatty() or not length
    with typer.progressbar(length=max(1, length), label="writing", file=sys.stderr, hidden=hidden) as bar:
        yield bar


def _show_objects(service: Service, convergence: Convergence, plan: Value) -> None:
    behind = {gateway["name"] for gateway in convergence.behind}
    rows: list[list[str]] = []
    for gateway in plan["gateways"]:
        name = gateway["name"]
        if not gateway["steps"] and name not in behind:
            continue
        # Whoever has everything has each of these: nothing to ask about ten thousand objects.
        held = service.items(path_of("gateways", name, "objects")) if name in behind else ()
        found = {(item["kind"], item["id"]): item for item in held}
        steps = {(step["kind"], step["id"]): step for step in gateway["steps"]}
        rows += [
            [
                name,
                step["object"],
                _outcome(step, found.get(key)) if name in behind else _DONE[step["action"]],
            ]
            for key, step in steps.items()
        ]
        rows += [
            [name, f"{item['kind']}/{item['id']}", f"failed: {item['error']}"]
            for key, item in found.items()
            if key not in steps and item["state"] == "failed"
        ]
    if rows:
        # What failed comes first, so that a long list does not hide it.
        rows.sort(key=lambda row: not row[2].startswith("failed"))
        say(table(["GATEWAY", "OBJECT", "RESULT"], rows))


def _outcome(step: Value, found: Value | None) -> str:
    if found is not None and found["state"] == "failed":
        return f"failed: {found['error']}"
    if step["action"] == "delete":
        return _DONE["delete"] if found is None else "not yet"
    written = found is not None and found["state"] == "applied"
    as_planned = found is not None and found["hash"] == step["hash"]
    return _DONE[step["action"]] if written and as_planned else "not yet"
