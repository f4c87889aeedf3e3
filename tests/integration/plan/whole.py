"""What the stories of gateways that are written all at once have in common."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
from structlog.testing import capture_logs

from cli.exit_codes import ExitCode
from tests.fixtures.worlds import ADMIN_KEY, Ctl, World, addressed
from tests.integration.plan.conftest import File

# Any: the JSON of gateway objects.

ROUTE = "routes/q.support"
APPLY = ("--yes", "--timeout", "30")
THEIRS = {"id": "theirs", "uri": "/theirs"}


class WholeGateway(Protocol):
    """Such a gateway, and somebody who edits it by hand."""

    @property
    def declared(self) -> Mapping[str, Any]:
        """How it is declared."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the service has to be told to reach it."""

    @property
    def writes(self) -> int:
        """How often somebody with our declaration has written to it."""

    def objects(self) -> dict[str, Any]: ...

    def edit(self, path: str, **changes: Any) -> None: ...

    def add(self, section: str, item: dict[str, Any]) -> None: ...

    def remove(self, path: str) -> None: ...

    def restart(self) -> None:
        """Lose everything."""


@asynccontextmanager
async def ctl_with(
    gateway: WholeGateway, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Ctl]:
    """`ctl` beside a service whose only gateway is this one."""
    world.settings = world.settings.model_copy(update=dict(gateway.settings))
    await world.declare_gateway(**{"admin_key": ADMIN_KEY, **gateway.declared})
    with capture_logs():
        async with world.served():
            addressed(world, monkeypatch)
            await world.in_state("converged")
            yield Ctl(world, capsys)


async def applied(ctl: Ctl, file: File, values: dict[str, Any], *options: str) -> None:
    code, _, err = await ctl("apply", *file.write(values), *APPLY, *options)
    assert code == ExitCode.OK, err


async def nothing_is_left(ctl: Ctl, file: File) -> None:
    code, out, _ = await ctl("plan", *file.options, "--refresh")
    assert (code, out.strip()) == (ExitCode.OK, "nothing to do")
