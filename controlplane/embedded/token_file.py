"""The file with the token of this machine's stack."""

from pathlib import Path

ADMIN_TOKEN = "admin-token"  # noqa: S105 - the name of a file


def read_admin_token(folder: Path) -> str | None:
    """The token that `ctl up` generated, for `ctl` to send; None when there is none that we may read."""
    try:
        return (folder / ADMIN_TOKEN).read_text().strip() or None
    except (FileNotFoundError, PermissionError):
        return None
