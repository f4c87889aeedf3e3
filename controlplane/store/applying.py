"""A whole document in one revision: what differs is written, and what is named is removed."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from controlplane.core.secrets import MASK
from controlplane.core.spec import Document, QueueSpec
from controlplane.errors import Conflict, InvalidSpec, PreconditionFailed, Problem
from controlplane.store import documents, rows
from controlplane.store.creating import create_queues
from controlplane.store.reaching import is_theirs, writable
from controlplane.store.records import Applied, AppliedChange, Kind, Spec
from controlplane.store.references import referred
from controlplane.store.rows import Row
from controlplane.store.writes import Change, changed_fields, name_taken


class _DryRunEnds(Exception):
    """Leaves the transaction of a dry run, and so undoes it."""

    def __init__(self, applied: Applied) -> None:
        super().__init__()
        self.applied = applied


async def apply_document(
    write: AbstractAsyncContextManager[Change],
    document: Document,
    *,
    dry_run: bool,
    deletes: Sequence[tuple[Kind, str]] = (),
    base: int | None = None,
    numbered: Callable[[int], None] | None = None,
) -> Applied:
    """Make the document so. A dry run does everything, and then undoes it.

    `base` is the revision for which a plan has found nothing against the document: where it is no longer the
    newest, this raises PreconditionFailed.
    """
    try:
        async with write as change:
            newest = await _newest(change, base)
            work = _Applying(change, document.source, judged=base is not None)
            applied = await _apply(work, document, deletes, newest, dry_run=dry_run)
            _undo_if(dry_run, applied)
            if numbered is not None and applied.changes:
                numbered(applied.revision)
    except _DryRunEnds as end:
        return end.applied
    return applied


def _undo_if(dry_run: bool, applied: Applied) -> None:
    if dry_run:
        raise _DryRunEnds(applied)


async def _newest(change: Change, base: int | None) -> int:
    """The newest revision. Raises PreconditionFailed when it is another than the base."""
    newest: int = await change.connection.fetchval("SELECT coalesce(max(id), 0) FROM revision")
    if base is not None and newest != base:
        raise PreconditionFailed(
            f"the world has moved since the plan was made: revision {newest} follows revision {base}",
            remedy="plan again, and look at what is different",
        )
    return newest


async def _apply(
    work: "_Applying", document: Document, deletes: Sequence[tuple[Kind, str]], newest: int, *, dry_run: bool
) -> Applied:
    for kind, specs in _sections(document):
        if specs:
            await work.section(kind, specs)
    if work.problems:
        raise InvalidSpec("the document cannot be accepted", problems=work.problems)
    changes = work.changes + await _remove(work.change, document.source, deletes)
    revision = newest if dry_run or not changes else await work.change.revision()
    return Applied(revision, changes, {name: "" if dry_run else key for name, key in work.keys.items()})


@dataclass
class _Applying:
    """A document on its way into the tables, and what becomes of its objects."""

    change: Change
    source: str
    judged: bool
    """Whether it is known already that some gateway enforces what is declared."""
    changes: list[AppliedChange] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    """The texts of keys that were made just now, by their names."""
    problems: list[Problem] = field(default_factory=list)
    failed: dict[Kind, set[str]] = field(default_factory=lambda: {kind: set() for kind in Kind})

    async def section(self, kind: Kind, specs: Sequence[Spec]) -> None:
        names = [spec.name for spec in specs]
        found = await rows.fetch(self.change.connection, kind, "o.name = ANY($1)", names)
        existing = {row.name: row for row in found}
        done: set[str] = set()
        if kind is Kind.QUEUE and self.change.reach is None:
            done = await self._create_queues([spec for spec in specs if spec.name not in existing])
        for spec in specs:
            if spec.name not in done:
                await self._put(kind, spec, existing.get(spec.name))

    async def _create_queues(self, specs: Sequence[Spec]) -> set[str]:
        """Create queues at once; the names of those that need no further look."""
        fresh = [spec for spec in specs if isinstance(spec, QueueSpec) and not self._refers_to_failed(spec)]
        if not fresh:
            return set()
        made, wrong = await create_queues(self.change, fresh, self.source, judged=self.judged)
        self.changes += [AppliedChange(Kind.QUEUE, name, "create") for name in made]
        for name, problems in wrong.items():
            self._fail(Kind.QUEUE, name, problems)
        return {*made, *wrong}

    async def _put(self, kind: Kind, declared: Spec, before: Row | None) -> None:
        change = self.change
        spec = writable(kind, change.reach, declared)
        if before is not None and not await is_theirs(change.connection, kind, change.reach, before.id):
            raise name_taken(kind, spec.name)
        if before is not None and before.source != self.source:
            raise _owned(kind, before, self.source)
        if self._refers_to_failed(spec):
            self.failed[kind].add(spec.name)
            return  # what it refers to has problems of its own, which are told
        fields = _differing(change, kind, spec, before)
        if before is not None and not fields:
            return
        try:
            put = await change.put(kind, spec, before, self.source)
        except InvalidSpec as error:
            self._fail(kind, spec.name, error.problems)
            return
        self.changes.append(AppliedChange(kind, spec.name, "update" if before else "create", fields))
        if put.made_key is not None:
            self.keys[spec.name] = put.made_key

    def _refers_to_failed(self, spec: Spec) -> bool:
        if not any(self.failed.values()):
            return False
        return any(names & self.failed[kind] for kind, names in referred(spec).items())

    def _fail(self, kind: Kind, name: str, problems: Iterable[Problem]) -> None:
        self.failed[kind].add(name)
        top = f"{kind.plural}.{name}."
        self.problems += [Problem(top + item.field, item.message, item.remedy) for item in problems]


async def _remove(change: Change, source: str, deletes: Sequence[tuple[Kind, str]]) -> list[AppliedChange]:
    """Remove what refers to others before what is referred to; never what another source declares."""
    removed: list[AppliedChange] = []
    for kind in reversed(Kind):
        names = [name for other, name in deletes if other is kind]
        for row in await rows.fetch(change.connection, kind, "o.name = ANY($1)", names) if names else ():
            if row.source != source:
                raise _owned(kind, row, source)
            await change.remove(kind, row)
            removed.append(AppliedChange(kind, row.name, "delete"))
    return removed


def _sections(document: Document) -> list[tuple[Kind, tuple[Spec, ...]]]:
    return [
        # Before everything that they are to enforce: what they can do decides what may be declared.
        (Kind.GATEWAY, document.gateways),
        (Kind.TIER, document.tiers),
        (Kind.TENANT, document.tenants),
        (Kind.PROVIDER, document.providers),
        (Kind.QUEUE, document.queues),
        (Kind.RULE, document.rules),
        (Kind.KEY, document.keys),
    ]


def _differing(change: Change, kind: Kind, spec: Spec, before: Row | None) -> list[str]:
    if before is None:
        return []
    wanted = documents.as_kept(kind, spec)
    fields = list(changed_fields(before.document, wanted))
    for name in kind.secret_fields:
        value = getattr(spec, name)
        text = value.get_secret_value() if value is not None else MASK
        kept = before.secrets.get(name, {})
        same = text == MASK or text == kept.get("reference")
        if not same and kept.get("fingerprint") != change.sealer.fingerprint(text):
            fields.append(name)
    return fields


def _owned(kind: Kind, row: Row, source: str) -> Conflict:
    return Conflict(
        f"{kind} {row.name!r} is declared by source {row.source!r}, not by {source!r}",
        remedy="remove it from this file, or delete it there first",
        problems=[Problem(f"{kind.plural}.{row.name}", f"belongs to source {row.source!r}")],
    )
