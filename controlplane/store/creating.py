"""Many new queues in one write, in a few statements: what each of them would do alone, for all at once."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from controlplane.core.desired import Queue, derived_id
from controlplane.core.selection import unenforced
from controlplane.core.spec import QueueSpec
from controlplane.errors import Problem
from controlplane.store import documents, rows
from controlplane.store.neighbours import new_among_neighbours
from controlplane.store.records import Kind
from controlplane.store.references import dangling, names_for_all
from controlplane.store.writes import Change


async def create_queues(
    change: Change, specs: Sequence[QueueSpec], source: str, *, judged: bool
) -> tuple[list[str], dict[str, list[Problem]]]:
    """Create queues of names that nobody has. Gives the names of those that are made, and others' problems.

    What is in neither has an id that is taken, and must be looked at alone. `judged` queues are known to be
    enforced somewhere. Only for callers who reach everything.
    """
    ids = await _free_ids(change, specs)
    candidates = [spec for spec in specs if spec.name in ids]
    names = await names_for_all(change.connection, candidates)
    problems = {spec.name: list(dangling(spec, names)) for spec in candidates}
    if not judged:
        sound = [spec for spec in candidates if not problems[spec.name]]
        queues = {spec.name: Queue(ids[spec.name], spec, source) for spec in sound}
        for name, problem in await _unenforced(change, queues):
            problems[name].append(problem)
    made = [spec for spec in candidates if not problems[spec.name]]
    if made:
        await _write(change, made, ids, names, source)
    return [spec.name for spec in made], {name: found for name, found in problems.items() if found}


async def _unenforced(change: Change, queues: Mapping[str, Queue]) -> Sequence[tuple[str, Problem]]:
    """What no gateway would enforce of queues that are new, each with its queue's name."""
    state = await new_among_neighbours(change.connection, queues)
    found = unenforced(state, state.queues, await change.gateways())
    parted = ((item.field.split(".", 2), item) for item in found)
    return [
        (name, Problem(field, item.message, item.remedy))
        for (kind, name, field), item in parted
        if kind == Kind.QUEUE.plural
    ]


async def _free_ids(change: Change, specs: Sequence[QueueSpec]) -> dict[str, UUID]:
    """The ids that the queues get, by name, as far as nobody else has them or wants them."""
    wanted = [(spec.name, spec.id or derived_id(Kind.QUEUE, spec.name)) for spec in specs]
    found = await change.connection.fetch("SELECT id FROM queue WHERE id = ANY($1)", [i for _, i in wanted])
    taken = {record["id"] for record in found}
    free: dict[UUID, str] = {}
    for name, object_id in wanted:
        if object_id not in taken:
            free.setdefault(object_id, name)
    return {name: object_id for object_id, name in free.items()}


async def _write(
    change: Change, specs: Sequence[QueueSpec], ids: dict[str, UUID], names: rows.Names, source: str
) -> None:
    kept = [
        rows.Kept(ids[spec.name], spec.name, source, documents.as_kept(Kind.QUEUE, spec), {})
        for spec in specs
    ]
    writings = [rows.Writing(one, spec, names) for one, spec in zip(kept, specs, strict=True)]
    await rows.add(change.connection, Kind.QUEUE, writings, revision=await change.revision())
    tenants = (names.tenants[spec.tenant] if spec.tenant else None for spec in specs)
    notes = [(None, one, tenant) for one, tenant in zip(kept, tenants, strict=True)]
    await change.note("create", Kind.QUEUE, notes)
