"""`ctl audit` against the real service."""

import json

import pytest

from cli.exit_codes import ExitCode
from controlplane.core.spec import TenantSpec
from controlplane.store.records import Kind
from controlplane.store.store import Store
from tests.fixtures.stores import AUTHOR
from tests.integration.cli.conftest import Ctl
from tests.integration.store.test_audit import tampered

Captured = pytest.CaptureFixture[str]


@pytest.fixture
async def done(store: Store) -> None:
    for name in ("acme", "rival"):
        await store.create(Kind.TENANT, TenantSpec(name=name), AUTHOR)
    await store.patch(Kind.TENANT, "acme", {"tier": "pro"}, AUTHOR)


@pytest.mark.usefixtures("done")
async def test_what_was_done_is_listed_and_exported(ctl: Ctl, capsys: Captured) -> None:
    assert await ctl("audit", "--limit", "2") == ExitCode.OK
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["ROW", "3", "2"]
    assert "--before 2" in shown.err
    assert await ctl("audit", "--object", "tenant/acme", "-o", "jsonl") == ExitCode.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["action"] for line in lines] == ["update", "create"]
    assert await ctl("audit", "--action", "update", "-o", "json") == ExitCode.OK
    assert [row["after"]["tier"] for row in json.loads(capsys.readouterr().out)] == ["pro"]
    assert await ctl("audit", "-o", "jsonl", "--since", "yesterday") == ExitCode.ERROR
    assert "since" in capsys.readouterr().err


@pytest.mark.usefixtures("done")
async def test_verify_ends_with_an_error_when_somebody_was_at_the_table(
    ctl: Ctl, store: Store, capsys: Captured
) -> None:
    assert await ctl("audit", "--verify") == ExitCode.OK
    shown = capsys.readouterr()
    assert "3 rows, all as they were written" in shown.err
    head = shown.out.strip()
    assert await ctl("audit", "--verify", "--head", head) == ExitCode.OK
    capsys.readouterr()
    await tampered(store, "UPDATE audit SET author = 'x' WHERE id = 2")
    assert await ctl("audit", "--verify", "--head", head) == ExitCode.ERROR
    assert "row 2: was changed, or put in by somebody else" in capsys.readouterr().err
