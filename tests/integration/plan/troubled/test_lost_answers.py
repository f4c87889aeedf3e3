"""A service that is lost between a request and its answer: what `ctl` says of it is true."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from urllib.parse import urlsplit

import pytest

from cli.exit_codes import ExitCode
from tests.fixtures.services import until
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import File, declared, queue
from tests.integration.plan.troubled.test_interrupted import ENOUGH

MAY_BE = "what was sent may be stored"


@asynccontextmanager
async def losing_answers_to(world: World, request: bytes) -> AsyncIterator[str]:
    """The service, as it is seen through a line that breaks once it has begun to answer such a request."""
    service = urlsplit(world.url)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(service.hostname, service.port)
        asked = asyncio.Event()

        async def ask() -> None:
            while data := await reader.read(65536):
                if data.startswith(request):
                    asked.set()
                there_writer.write(data)

        with closing(writer), closing(there_writer):
            asking = asyncio.create_task(ask())
            while (data := await there_reader.read(65536)) and not asked.is_set():
                writer.write(data)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_an_apply_whose_answer_is_lost_is_stored_and_the_same_command_finds_nothing_to_do(
    ctl: Ctl, file: File, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("apply", *file.write(declared()), *ENOUGH)
    async with losing_answers_to(world, b"POST /api/v1/apply?") as url:
        monkeypatch.setenv("SLUICE_URL", url)
        code, _, err = await ctl(*command)
    monkeypatch.setenv("SLUICE_URL", world.url)
    assert code == ExitCode.ERROR
    assert MAY_BE in err
    assert "the same command completes it, or finds nothing to do" in err
    code, _, err = await ctl(*command)
    assert code == ExitCode.OK, err
    assert "nothing to change" in err
    assert "routes/q.support" in await world.objects()


async def test_a_kept_plan_whose_answer_is_lost_is_stored_and_a_plan_says_that_nothing_is_left(
    ctl: Ctl, file: File, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = str(world.folder / "plan.json")
    options = file.write(declared())
    await ctl("plan", *options, "--out", kept)
    async with losing_answers_to(world, b"POST /api/v1/apply?") as url:
        monkeypatch.setenv("SLUICE_URL", url)
        code, _, err = await ctl("apply", "--plan", kept, "--allow-literal-secrets", *ENOUGH)
    monkeypatch.setenv("SLUICE_URL", world.url)
    assert code == ExitCode.ERROR
    assert MAY_BE in err
    assert "`ctl plan` says what is left to do" in err

    async def nothing_is_left() -> bool:
        return (await ctl("plan", *options))[0] == ExitCode.OK

    await until(nothing_is_left, "a plan with nothing to do")
    code, _, err = await ctl("apply", "--plan", kept, "--allow-literal-secrets", *ENOUGH)
    assert (code, "the world has moved" in err) == (ExitCode.REFUSED, True)


async def test_a_rollback_whose_answer_is_lost_is_stored_and_the_same_command_finds_nothing_to_do(
    ctl: Ctl, file: File, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ctl("apply", *file.write(declared()), *ENOUGH)
    revision = await newest(world)
    await ctl("apply", *file.write(declared(queues=[queue(tokens=7)])), *ENOUGH)
    command = ("rollback", revision, *ENOUGH)
    async with losing_answers_to(world, f"POST /api/v1/revisions/{revision}/rollback?".encode()) as url:
        monkeypatch.setenv("SLUICE_URL", url)
        code, _, err = await ctl(*command)
    monkeypatch.setenv("SLUICE_URL", world.url)
    assert code == ExitCode.ERROR
    assert MAY_BE in err
    stored = await newest(world)
    code, _, err = await ctl(*command)
    assert code == ExitCode.OK, err
    assert int(revision) + 1 < int(stored) == int(await newest(world))


async def newest(world: World) -> str:
    """The newest revision."""
    async with world.api() as api:
        return str((await api.get("/api/v1/revisions")).json()["items"][0]["id"])
