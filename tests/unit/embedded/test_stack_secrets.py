"""The secrets of a stack: made once, kept to their owner, replaced by settings."""

import base64
import stat
from pathlib import Path

import pytest

from controlplane.embedded.stack_secrets import StackSecrets
from controlplane.embedded.token_file import read_admin_token
from controlplane.errors import InvalidSettings
from controlplane.settings import Settings

NOTHING_SET = Settings.from_env({})


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = StackSecrets.load_or_create(tmp_path, NOTHING_SET)
    assert StackSecrets.load_or_create(tmp_path, NOTHING_SET) == first
    assert (
        len({first.admin_token, first.fallback_admin_key, first.postgres_password, first.redis_password}) == 4
    )


def test_the_master_key_is_32_bytes_of_base64(tmp_path: Path) -> None:
    secrets = StackSecrets.load_or_create(tmp_path, NOTHING_SET)
    assert len(base64.b64decode(secrets.master_key, validate=True)) == 32


def test_only_the_owner_may_read_a_secret_even_when_its_mode_was_widened(tmp_path: Path) -> None:
    StackSecrets.load_or_create(tmp_path, NOTHING_SET)
    (tmp_path / "master-key").chmod(0o644)
    StackSecrets.load_or_create(tmp_path, NOTHING_SET)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {
        "admin-token": 0o600,
        "fallback-admin-key": 0o600,
        "master-key": 0o600,
        "postgres-password": 0o600,
        "redis-password": 0o600,
    }


def test_a_secret_that_a_setting_gives_is_used_and_not_stored(tmp_path: Path) -> None:
    secrets = StackSecrets.load_or_create(tmp_path, Settings.from_env({"SLUICE_ADMIN_TOKEN": "given"}))
    assert secrets.admin_token == "given"
    assert read_admin_token(tmp_path) is None


def test_ctl_reads_the_generated_token(tmp_path: Path) -> None:
    secrets = StackSecrets.load_or_create(tmp_path, NOTHING_SET)
    assert read_admin_token(tmp_path) == secrets.admin_token


def test_an_empty_secret_is_an_error_rather_than_a_new_secret(tmp_path: Path) -> None:
    (tmp_path / "master-key").touch()
    with pytest.raises(InvalidSettings, match="master-key is empty"):
        StackSecrets.load_or_create(tmp_path, NOTHING_SET)


def test_a_secret_shows_in_no_representation(tmp_path: Path) -> None:
    secrets = StackSecrets.load_or_create(tmp_path, NOTHING_SET)
    assert repr(secrets) == "StackSecrets()"


def test_a_master_key_that_is_none_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="the master key"):
        StackSecrets.load_or_create(tmp_path, Settings.from_env({"SLUICE_MASTER_KEY": "c2hvcnQ="}))
