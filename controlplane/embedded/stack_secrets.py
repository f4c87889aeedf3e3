"""The stack's secrets: generated once, each in a file that only its owner can read."""

import base64
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.embedded.token_file import ADMIN_TOKEN
from controlplane.errors import InvalidSettings
from controlplane.settings import Settings
from controlplane.store.seal import Sealer


@dataclass(frozen=True)
class StackSecrets:
    """What the parts are told through their environment, and nobody else."""

    admin_token: str = field(repr=False)
    master_key: str = field(repr=False)
    fallback_admin_key: str = field(repr=False)
    postgres_password: str = field(repr=False)
    redis_password: str = field(repr=False)

    @classmethod
    def load_or_create(cls, folder: Path, settings: Settings) -> "StackSecrets":
        """A secret that a setting gives is used as it is and stored nowhere; the others live in `folder`."""
        given = {
            name: secret.get_secret_value()
            for name in ("admin_token", "master_key", "fallback_admin_key")
            if (secret := getattr(settings, name)) is not None
        }
        files = {
            "admin_token": (ADMIN_TOKEN, secrets.token_urlsafe(32)),
            "master_key": ("master-key", base64.b64encode(secrets.token_bytes(32)).decode()),
            "fallback_admin_key": ("fallback-admin-key", secrets.token_urlsafe(32)),
            "postgres_password": ("postgres-password", secrets.token_urlsafe(24)),
            "redis_password": ("redis-password", secrets.token_urlsafe(24)),
        }
        kept = {
            field_name: _keep(folder / file, fresh)
            for field_name, (file, fresh) in files.items()
            if field_name not in given
        }
        found = cls(**{**kept, **given})
        Sealer.from_text(found.master_key)  # an error here and now, rather than in the log of a part
        return found


def _keep(path: Path, fresh: str) -> str:
    """The secret in the file, which is made unless it exists; written whole, so that no crash leaves half."""
    try:
        path.chmod(0o600)
        value = path.read_text().strip()
    except FileNotFoundError:
        draft = path.with_name(f"{path.name}.draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(fresh + "\n")
            file.flush()
            os.fsync(descriptor)
        draft.rename(path)
        return fresh
    if not value:
        raise InvalidSettings(f"the secret in {path} is empty", remedy="put it back, or remove the file")
    return value
