"""Another text for a key; the text before goes on opening what the key opens until its window ends."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from controlplane.core.apikeys import new_key
from controlplane.core.rotation import MOST_OLD_TEXTS
from controlplane.errors import Conflict
from controlplane.store import documents
from controlplane.store.database import Connection
from controlplane.store.documents import ENDS_AT, LOOKUP, ROTATIONS, Secrets
from controlplane.store.records import Kind
from controlplane.store.rows import Row
from controlplane.store.writes import Change

_LAST_SECRETS = """
    SELECT DISTINCT ON (object_id) object_id, before->'secrets' AS secrets FROM revision_change
    WHERE kind = 'key' AND object_id = ANY($1) AND after IS NULL ORDER BY object_id, id DESC"""


async def rotate(change: Change, before: Row, overlap_s: int) -> str:
    """Give a key another text, which is returned. Raises Conflict for a key that opens nothing now.

    Texts that it had before keep their own windows; without an overlap all of them end at once.
    """
    now: datetime = await change.connection.fetchval("SELECT now()")
    _require_usable(before, now)
    text = new_key(change.random)
    secrets = _secrets(change, before, text)
    if overlap_s:
        kept = {
            name: secret
            for name, secret in documents.old_texts(before.secrets).items()
            if datetime.fromisoformat(secret[ENDS_AT]) > now
        }
        _require_room(before, kept)
        secrets |= kept | _retired(change, before, now + timedelta(seconds=overlap_s))
    await change.put_back(Kind.KEY, replace(before, secrets=secrets), before, action="rotate")
    return text


def _require_usable(row: Row, now: datetime) -> None:
    expires_at = row.document.get("expires_at")
    if row.document.get("enabled") is False:
        raise Conflict(f"key {row.name!r} is disabled, so no text opens anything", remedy="enable it first")
    if expires_at is not None and datetime.fromisoformat(expires_at) <= now:
        raise Conflict(f"key {row.name!r} has expired", remedy="give it another `expires_at` first")


def _require_room(row: Row, kept: Secrets) -> None:
    if len(kept) >= MOST_OLD_TEXTS:
        first = min(secret[ENDS_AT] for secret in kept.values())
        raise Conflict(
            f"key {row.name!r} has {len(kept)} earlier texts that still work",
            remedy=f"wait until {first}, or rotate with an overlap of 0, which ends all of them",
        )


def _secrets(change: Change, before: Row, text: str) -> Secrets:
    place = documents.secret_place(Kind.KEY, before.id, "key")
    rotations = int(before.secrets["key"].get(ROTATIONS, "0")) + 1
    fingerprint = change.sealer.fingerprint(text)
    sealed = change.sealer.seal(text, place)
    return {"key": {"sealed": sealed, "fingerprint": fingerprint, ROTATIONS: str(rotations)}}


def _retired(change: Change, before: Row, ends_at: datetime) -> Secrets:
    """The key's present text, sealed for its place among those that it had before."""
    present = before.secrets["key"]
    text = change.sealer.unseal(present["sealed"], documents.secret_place(Kind.KEY, before.id, "key"))
    name = f"old-{present['fingerprint'][:16]}"
    rotations = {ROTATIONS: present[ROTATIONS]} if ROTATIONS in present else {}
    return {
        name: {
            **rotations,
            "sealed": change.sealer.seal(text, documents.secret_place(Kind.KEY, before.id, name)),
            "fingerprint": present["fingerprint"],
            LOOKUP: change.sealer.lookup(text),
            ENDS_AT: ends_at.isoformat(),
        }
    }


async def last_secrets(connection: Connection, gone: list[UUID]) -> dict[UUID, dict[str, Any]]:  # Any: JSON
    """The secrets that keys had when they were removed."""
    found = await connection.fetch(_LAST_SECRETS, gone)
    return {record["object_id"]: record["secrets"] for record in found}


def rotated_since(target: Secrets, last: Secrets) -> bool:
    """Whether a key has been rotated between two states of it."""
    return target.get("key", {}).get(ROTATIONS) != last.get("key", {}).get(ROTATIONS)
