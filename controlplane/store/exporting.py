"""The whole desired state as documents: one for each source that declares something."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.core.access import Reach
from controlplane.core.exporting import declaration_of
from controlplane.store import documents, rows
from controlplane.store.database import Connection
from controlplane.store.gateways import SETTINGS
from controlplane.store.reaching import found_by
from controlplane.store.records import Kind

_KINDS = (Kind.GATEWAY, Kind.TIER, Kind.TENANT, Kind.PROVIDER, Kind.QUEUE, Kind.RULE, Kind.KEY)
Document = Mapping[str, Any]  # Any: a declaration as JSON


async def export(connection: Connection, reach: Reach | None, source: str | None) -> Sequence[Document]:
    """Everything that somebody may declare, as it would have to be declared; in the order of sources."""
    found: dict[str, dict[str, list[Document]]] = {}
    for kind in _KINDS:
        if reach is not None and kind in (Kind.GATEWAY, Kind.TIER, Kind.TENANT):
            continue  # for the platform's own people to declare
        where, values = found_by(kind, reach, to_write=True)
        for row in await rows.fetch(connection, kind, where, *values, tail="ORDER BY o.name"):
            if kind is Kind.GATEWAY and row.source == SETTINGS:
                continue
            spec = documents.spec_of(kind, row.document, row.secrets, row.id)
            sections = found.setdefault(row.source, {})
            sections.setdefault(kind.plural, []).append(declaration_of(spec, row.id))
    return [
        {"version": 1, "source": name, **sections}
        for name, sections in sorted(found.items())
        if source in (None, name)
    ]
