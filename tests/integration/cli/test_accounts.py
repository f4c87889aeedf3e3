"""Accounts and tokens from the command line."""

import json

import pytest

from tests.integration.cli.conftest import Ctl

Captured = pytest.CaptureFixture[str]


async def test_a_service_is_let_in_with_a_token_until_it_is_revoked(
    ctl: Ctl, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await ctl("account", "create", "ci", "--kind", "service", "--role", "viewer") == 0
    capsys.readouterr()
    assert await ctl("token", "create", "ci", "--label", "nightly", "--expires", "90d", "-o", "json") == 0
    made = json.loads(capsys.readouterr().out)
    with monkeypatch.context() as other:
        other.setenv("SLUICE_TOKEN", made["text"])
        assert await ctl("whoami", "-o", "json") == 0
        caller = json.loads(capsys.readouterr().out)
        assert (caller["name"], caller["role"], caller["permissions"]) == ("ci", "viewer", ["read", "self"])
        assert await ctl("account", "list") == 1
        assert "may not" in capsys.readouterr().err
    assert await ctl("token", "list", "ci") == 0
    listed = capsys.readouterr().out
    assert "nightly" in listed
    assert made["text"] not in listed
    assert await ctl("token", "revoke", "ci", made["id"], "--yes") == 0
    with monkeypatch.context() as other:
        other.setenv("SLUICE_TOKEN", made["text"])
        assert await ctl("whoami") == 1


async def test_accounts_are_listed_and_removed(ctl: Ctl, capsys: Captured) -> None:
    await ctl("account", "create", "anna", "--role", "editor", "--email", "Anna@Example.com")
    assert await ctl("account", "list") == 0
    assert "anna@example.com" in capsys.readouterr().out
    assert await ctl("account", "delete", "anna", "--yes") == 0
    capsys.readouterr()
    await ctl("account", "list")
    assert "anna" not in capsys.readouterr().out


async def test_a_role_that_there_is_not_is_refused_by_name(ctl: Ctl, capsys: Captured) -> None:
    assert await ctl("account", "create", "anna", "--role", "owner") == 1
    assert "role" in capsys.readouterr().err
