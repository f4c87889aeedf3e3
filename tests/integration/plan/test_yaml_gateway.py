"""A standalone APISIX behind a file: what becomes of an apply when the file cannot be written."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from tests.fixtures.apisix_file import ApisixFile
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import PROVIDER_KEY, File, declared
from tests.integration.plan.whole import ROUTE, applied, ctl_with, nothing_is_left


@pytest.fixture
def gateway(tmp_path: Path) -> ApisixFile:
    return ApisixFile(tmp_path / "gateways")


@pytest.fixture
async def ctl(
    world: World, gateway: ApisixFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Ctl]:
    async with ctl_with(gateway, world, monkeypatch, capsys) as made:
        yield made


async def test_a_folder_that_is_away_leaves_the_apply_to_a_second_run(
    ctl: Ctl, file: File, gateway: ApisixFile
) -> None:
    folder = gateway.path.parent
    away = folder.rename(folder.with_name("away"))
    code, _, err = await ctl("apply", *file.write(declared()), "--yes", "--timeout", "1")
    assert code == ExitCode.PARTLY_APPLIED
    assert "its folder is not there" in err
    away.rename(folder)
    await applied(ctl, file, declared())
    await nothing_is_left(ctl, file)


async def test_a_file_that_somebody_is_writing_is_left_to_them(
    ctl: Ctl, file: File, gateway: ApisixFile
) -> None:
    half = f"routes:\n- {{id: theirs, desc: {PROVIDER_KEY}"
    gateway.path.write_text(half)
    code, _, err = await ctl("apply", *file.write(declared()), "--yes", "--timeout", "1")
    assert code == ExitCode.PARTLY_APPLIED
    assert "has no #END" in err
    assert PROVIDER_KEY not in err
    assert gateway.path.read_text() == half
    gateway.write("routes:\n- {id: theirs, desc: done}")
    await applied(ctl, file, declared())
    assert {"routes/theirs", ROUTE} <= gateway.objects().keys()
    await nothing_is_left(ctl, file)


async def test_a_file_cannot_be_imported_from_where_it_is_not(ctl: Ctl) -> None:
    code, _, err = await ctl("import", "--from-gateway", "edge")
    assert code == ExitCode.ERROR
    assert "edge/apisix.yaml" in err


async def test_a_file_cannot_be_asked_what_the_gateway_would_take(ctl: Ctl, file: File) -> None:
    code, out, err = await ctl("plan", *file.write(declared()), "--validate-on-gateway")
    assert code == ExitCode.REFUSED
    assert "a file cannot be asked" in out + err
