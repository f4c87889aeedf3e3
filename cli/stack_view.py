"""How the embedded stack looks in a terminal."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from cli.rendering import table
from controlplane.embedded.stack import local_url
from controlplane.embedded.state import PartStatus, StackState, State
from controlplane.embedded.token_file import ADMIN_TOKEN
from controlplane.settings import Settings


class Terminal:
    """Prints one line for each part that becomes ready, the addresses, and then only what goes wrong."""

    def __init__(self, settings: Settings, *, detached: bool) -> None:
        self._settings = settings
        self._home = settings.home.absolute()
        self._detached = detached
        self._seen: dict[str, State] = {}

    def begin(self) -> None:
        typer.echo(f"starting the stack in {self._home}\n")

    def part_changed(self, status: PartStatus) -> None:
        before = self._seen.get(status.name)
        self._seen[status.name] = status.state
        if before is status.state:
            return
        if status.state.good:
            back = "  again" if before in (State.RESTARTING, State.FAILED, State.SILENT) else ""
            took = f"{status.took_s:5.1f} s" if status.took_s is not None else ""
            typer.echo(
                f"  {typer.style('✓', fg='green')} {status.name:<11} {status.address:<26} {took}{back}"
            )
        elif status.state in (State.RESTARTING, State.FAILED, State.SILENT):
            typer.echo(f"  {typer.style('✗', fg='red')} {status.name:<11} {status.state}: {status.detail}")

    def all_ready(self, took_s: float, *, first: bool) -> None:
        settings = self._settings
        gateway = settings.gateway_admin_url or local_url(settings.host, settings.gateway_port)
        token = self._home / "secrets" / ADMIN_TOKEN
        rows = {
            "admin service": local_url(settings.host, settings.service_port),
            "gateway": gateway,
            "mock provider": local_url(settings.host, settings.mock_port),
            "state": str(self._home),
            "admin token": "from SLUICE_ADMIN_TOKEN" if settings.admin_token else f"{token} (ctl finds it)",
        }
        if not settings.gateway_admin_url:
            rows["gateway"] += f"  (Admin API {local_url(settings.host, settings.gateway_admin_port)})"
        typer.echo("\n" + "\n".join(f"  {name:<13} {value}" for name, value in rows.items()))
        end = "`ctl down` stops it." if self._detached else "Ctrl-C stops it."
        typer.echo(f"\n{'first start' if first else 'start'} {took_s:.1f} s. {end}")

    def stopping(self) -> None:
        typer.echo("\nstopping")

    def stopped(self) -> None:
        typer.echo(f"stopped; the state stays in {self._home}")


def status_as_json(folder: Path, state: StackState | None, now: float) -> dict[str, Any]:
    if state is None:
        return {"home": str(folder), "running": False, "good": False, "parts": []}
    parts = [{**asdict(part), "uptime_s": _uptime_s(part, now)} for part in state.parts]
    return {"home": str(folder), "running": True, "good": state.good, **state.as_json(), "parts": parts}


def status_as_table(state: StackState, now: float) -> str:
    rows = [
        (
            part.name,
            str(part.state),
            str(part.pid or "-"),
            part.address or "-",
            _duration(_uptime_s(part, now)),
            str(part.restarts),
            part.detail or "",
        )
        for part in state.parts
    ]
    return table(["PART", "STATE", "PID", "ADDRESS", "UPTIME", "RESTARTS", ""], rows)


def _uptime_s(part: PartStatus, now: float) -> float | None:
    """How long the part has been ready; None for one that is not, and for a job that is done."""
    return round(now - part.since, 1) if part.state is State.READY else None


def _duration(seconds: float | None) -> str:
    """A length of time in its two largest units."""
    if seconds is None:
        return "-"
    whole = max(0, int(seconds))
    for unit, size, smaller, rest in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // rest}{smaller}"
    return f"{whole}s"
