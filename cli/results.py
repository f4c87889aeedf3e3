"""What became of an apply: a progress bar while it goes on, and a row for every object at its end."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import typer

from cli.converging import Convergence, wait_until_converged
from cli.exit_codes import ExitCode
from cli.rendering import as_json, gateways_table, table
from cli.service import Json, Service, path_of
from cli.session import say, say_error
from controlplane.clock import SystemClock
from controlplane.errors import Unavailable

Value = dict[str, Any]  # Any: a plan as the service shows it

_DONE = {"create": "created", "update": "updated", "delete": "deleted"}
_FAILED = "failed"
_NOT_YET = "not yet"


RESULT_FORMAT = 1
"""The `format_version` of what became of an apply, as JSON."""


def show_results(
    service: Service, done: Json, plan: Value, timeout_s: float, *, as_value: bool = False
) -> ExitCode:
    """Wait for every gateway, and say what became of each object; with `as_value` on stdout, as JSON."""
    revision = int(done["revision"])
    try:
        convergence = _waited(service, revision, plan, timeout_s)
        rows = _rows(service, convergence, plan)
    except KeyboardInterrupt:
        return interrupted(f"revision {revision} is stored")
    except Unavailable as error:
        say_error(f"error: {error.message}")
        say(f"revision {revision} is stored; `ctl get gateways` shows what became of it")
        return ExitCode.PARTLY_APPLIED
    behind = [gateway for gateway in convergence.behind if not _has_its_part(gateway, plan, rows)]
    if as_value:
        typer.echo(as_json(_value(revision, plan, convergence, behind, rows)))
    if not convergence.gateways:
        say("no gateway is enabled, so nothing enforces this yet")
        return ExitCode.OK
    if rows:
        say(table(["GATEWAY", "OBJECT", "RESULT"], [row.cells for row in rows]))
    say(gateways_table(convergence.gateways, datetime.now(UTC)))
    for gateway in convergence.behind:
        if gateway not in behind:
            say(f"gateway {gateway['name']} has its part; it is degraded by something else, as it was before")
    if not behind:
        return ExitCode.OK
    for gateway in behind:
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

        def moved(gateways: Sequence[Json]) -> float:
            written = sum(
                gateway["status"]["writes"] - started[gateway["name"]]
                for gateway in gateways
                if gateway["name"] in started
            )
            planned = int(plan["summary"]["writes"])
            done = max(0, min(written, planned))
            bar.update(max(0, done - bar.pos))
            return float(done / max(1, planned))

        return wait_until_converged(service, revision, timeout_s, SystemClock(), moved=moved)


@contextmanager
def _progress(length: int) -> Iterator[Any]:  # Any: Typer does not export its bar's type
    hidden = not sys.stderr.isatty() or not length
    with typer.progressbar(length=max(1, length), label="writing", file=sys.stderr, hidden=hidden) as bar:
        yield bar


class _Row(NamedTuple):
    """What became of one object."""

    gateway: str
    object: str
    result: str
    error: str | None = None

    @property
    def cells(self) -> list[str]:
        return [self.gateway, self.object, f"{self.result}: {self.error}" if self.error else self.result]


def _rows(service: Service, convergence: Convergence, plan: Value) -> list[_Row]:
    """What failed comes first, so that a long list does not hide it."""
    behind = {gateway["name"] for gateway in convergence.behind}
    rows: list[_Row] = []
    for gateway in plan["gateways"]:
        name = gateway["name"]
        if not gateway["steps"] and name not in behind:
            continue
        # Whoever has everything has each of these: nothing to ask about ten thousand objects.
        held = service.items(path_of("gateways", name, "objects")) if name in behind else ()
        found = {(item["kind"], item["id"]): item for item in held}
        steps = {(step["kind"], step["id"]): step for step in gateway["steps"]}
        rows += [
            _outcome(name, step, found.get(key))
            if name in behind
            else _Row(name, step["object"], _DONE[step["action"]])
            for key, step in steps.items()
        ]
        rows += [
            _Row(name, f"{item['kind']}/{item['id']}", _FAILED, item["error"])
            for key, item in found.items()
            if key not in steps and item["state"] == "failed"
        ]
    return sorted(rows, key=lambda row: row.result != _FAILED)


def _has_its_part(gateway: Json, plan: Value, rows: Sequence[_Row]) -> bool:
    """Whether a gateway on which something else was wrong before has everything that the plan is about."""
    planned = next((each for each in plan["gateways"] if each["name"] == gateway["name"]), None)
    if planned is None or not gateway["status"]["state"] == planned["state"] == "degraded":
        return False
    about = {(gateway["name"], step["object"]) for step in planned["steps"]}
    return not any(row.result in (_FAILED, _NOT_YET) for row in rows if (row.gateway, row.object) in about)


def _outcome(gateway: str, step: Value, found: Value | None) -> _Row:
    if found is not None and found["state"] == "failed":
        return _Row(gateway, step["object"], _FAILED, found["error"])
    if step["action"] == "delete":
        done = found is None
    else:
        done = found is not None and found["state"] == "applied" and found["hash"] == step["hash"]
    return _Row(gateway, step["object"], _DONE[step["action"]] if done else _NOT_YET)


def _value(
    revision: int, plan: Value, convergence: Convergence, behind: Sequence[Json], rows: Sequence[_Row]
) -> Value:
    """What became of an apply, for programs."""
    names = {gateway["name"] for gateway in behind}
    return {
        "format_version": RESULT_FORMAT,
        "revision": revision,
        "done": not behind,
        "changes": [{name: item[name] for name in ("action", "kind", "name")} for item in plan["changes"]],
        "gateways": [
            {
                "name": gateway["name"],
                "state": gateway["status"]["state"],
                "revision": gateway["status"]["applied_revision"],
                "done": gateway["name"] not in names,
                "error": gateway["status"].get("error"),
            }
            for gateway in convergence.gateways
        ],
        "objects": [row._asdict() for row in rows],
    }
