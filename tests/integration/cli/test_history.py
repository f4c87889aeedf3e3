"""`ctl history`, `ctl show` and `ctl diff` against the real service."""

import json

import pytest

from cli.exit_codes import ExitCode
from controlplane.core.spec import ProviderSpec, QueueSpec
from controlplane.store.records import Kind
from controlplane.store.store import Store
from tests.fixtures.specs import queue
from tests.fixtures.stores import AUTHOR
from tests.integration.cli.conftest import Ctl

Captured = pytest.CaptureFixture[str]
CANARY = "sk-canary-ctl-history"


@pytest.fixture
async def written(store: Store) -> None:
    provider = {"name": "openai-main", "type": "openai", "api_key": CANARY}
    await store.create(Kind.PROVIDER, ProviderSpec.model_validate(provider), AUTHOR)
    await store.create(Kind.QUEUE, QueueSpec.model_validate(queue(limits=[{"concurrency": 2}])), AUTHOR)
    await store.patch(Kind.QUEUE, "support", {"limits": [{"concurrency": 3}]}, AUTHOR)


@pytest.mark.usefixtures("written")
async def test_history_lists_revisions_and_says_where_older_ones_begin(ctl: Ctl, capsys: Captured) -> None:
    assert await ctl("history", "--limit", "2") == ExitCode.OK
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["REVISION", "3", "2"]
    assert "--before 2" in shown.err
    assert await ctl("history", "--object", "queue/support", "--before", "3", "-o", "json") == ExitCode.OK
    assert [item["id"] for item in json.loads(capsys.readouterr().out)] == [2]
    assert await ctl("history", "--author", "nobody") == ExitCode.OK
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("written")
async def test_show_and_diff_tell_fields_and_no_secret(ctl: Ctl, capsys: Captured) -> None:
    assert await ctl("show", "3") == ExitCode.OK
    shown = capsys.readouterr().out
    assert "~ queue support" in shown
    assert "limits[0]: 2 concurrency → 3 concurrency" in shown
    assert await ctl("diff", "2") == ExitCode.OK
    assert "limits[0]: 2 concurrency → 3 concurrency" in capsys.readouterr().out
    assert await ctl("diff", "3", "1") == ExitCode.OK
    assert "- queue support" in capsys.readouterr().out
    for command in (("show", "1"), ("show", "1", "-o", "yaml"), ("diff", "2", "1", "-o", "json")):
        assert await ctl(*command) == ExitCode.OK
        assert CANARY not in capsys.readouterr().out


@pytest.mark.usefixtures("written")
async def test_a_revision_that_never_was_is_an_error(ctl: Ctl, capsys: Captured) -> None:
    assert await ctl("show", "99") == ExitCode.ERROR
    assert "there is no revision 99" in capsys.readouterr().err
    assert await ctl("diff", "3", "3") == ExitCode.OK
    assert "nothing is different" in capsys.readouterr().err
