"""A standalone APISIX behind a file: what becomes of an apply when the file cannot be written."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from cli.exit_codes import ExitCode
from tests.fixtures.apisix_file import ApisixFile
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import PROVIDER_KEY, File, declared
from tests.integration.plan.whole import ROUTE, applied, ctl_with, nothing_is_left

THEIRS = """routes:
- id: chat
  uri: /chat
  plugins:
    ai-proxy:
      provider: openai
      auth: {header: {Authorization: "Bearer ${{CHAT_KEY}}"}}
      options: {model: "${{MODEL:=m}}"}
- id: plain
  uri: /plain
#END
"""


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


async def test_a_file_is_imported_by_its_path_with_the_variables_of_apisix(
    ctl: Ctl, file: File, gateway: ApisixFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = await ctl("import", "--from-gateway", "edge")
    assert code == ExitCode.ERROR
    assert "edge/apisix.yaml" in err
    await applied(ctl, file, declared())
    gateway.path.write_text(THEIRS)
    path = ("import", "--from-gateway", str(gateway.path))
    monkeypatch.delenv("CHAT_KEY", raising=False)
    code, out, err = await ctl(*path)
    assert (code, out, "CHAT_KEY" in err) == (ExitCode.ERROR, "", True)
    monkeypatch.setenv("CHAT_KEY", PROVIDER_KEY)
    kept = gateway.path.with_name("secrets.env")
    code, out, err = await ctl(*path, "--secrets-out", str(kept))
    assert code == ExitCode.OK
    assert PROVIDER_KEY not in out + err
    assert PROVIDER_KEY in kept.read_text()
    document = yaml.safe_load(out)
    assert [(queue["name"], queue["members"][0]["model"]) for queue in document["queues"]] == [("chat", "m")]
    assert "not carried over: routes/plain: is no route to an LLM" in err
    gateway.path.write_text(THEIRS.replace("#END", ""))
    code, _, err = await ctl(*path)
    assert (code, "has no #END" in err) == (ExitCode.ERROR, True)
    assert (await ctl("import", "--from-gateway", "nowhere.yaml"))[0] == ExitCode.ERROR


async def test_that_a_file_cannot_be_asked_what_it_would_take_is_said_and_no_error(
    ctl: Ctl, file: File
) -> None:
    options = (*file.write(declared()), "--validate-on-gateway")
    told = "gateway edge was not asked what it would take: it is a file"
    code, out, _ = await ctl("plan", *options)
    assert code == ExitCode.CHANGES
    assert f"warning: {told}" in out
    code, out, err = await ctl("plan", *options, "-o", "json")
    assert code == ExitCode.CHANGES
    assert told in err
    assert json.loads(out)["refusals"] == []
    _, out, _ = await ctl("plan", *file.write(declared()))
    assert told not in out
