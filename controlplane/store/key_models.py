"""Queues that were written, against the models of the keys that open them."""

from collections.abc import Collection
from typing import cast
from uuid import UUID

from controlplane.core.access import Reach
from controlplane.core.key_models import not_allowed
from controlplane.core.spec import KeySpec, QueueSpec
from controlplane.errors import Problem
from controlplane.store import documents, rows
from controlplane.store.database import Connection
from controlplane.store.records import Kind

_PAIRS = """
    SELECT l.key_id, l.queue_id FROM key_queue l JOIN key k ON k.id = l.key_id
    WHERE l.queue_id = ANY($1) AND k.spec ? 'models'"""


async def closed_keys(connection: Connection, queues: Collection[UUID], reach: Reach | None) -> list[Problem]:
    """Keys that open one of these queues and do not allow a model of it.

    Asked when everything is written: one document may change the queue and the key.
    """
    pairs = await connection.fetch(_PAIRS, list(queues))
    if not pairs:
        return []
    keys = await rows.fetch(connection, Kind.KEY, "o.id = ANY($1)", [pair["key_id"] for pair in pairs])
    opened = await rows.fetch(connection, Kind.QUEUE, "o.id = ANY($1)", [pair["queue_id"] for pair in pairs])
    specs = {
        row.id: documents.bare_spec_of(kind, row.document, row.id)
        for kind, found in ((Kind.KEY, keys), (Kind.QUEUE, opened))
        for row in found
    }
    problems = []
    for pair in pairs:
        key, queue = cast(KeySpec, specs[pair["key_id"]]), cast(QueueSpec, specs[pair["queue_id"]])
        if message := not_allowed(key, queue):
            remedy = "add the model to the key first, or take the queue from it"
            theirs = reach is None or key.tenant == reach.tenant
            whose = f"key {key.name}" if theirs else "a key of somebody else"
            problems.append(Problem("members", f"the models of {whose} forbid it: {message}", remedy))
    return problems
