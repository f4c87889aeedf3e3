"""A document laid over what is declared already: what would be declared then, and what changes by it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from uuid import UUID

from pydantic import SecretStr

from controlplane.core.comparing import first_fields, spec_differences
from controlplane.core.desired import DesiredState, Key, Provider, Queue, Rule, Tenant, Tier, derived_id
from controlplane.core.diff import Digest, FieldChange
from controlplane.core.gateways import Gateway, GatewaySpec
from controlplane.core.plan import Action
from controlplane.core.pointing import leading_nowhere, references
from controlplane.core.rules import RuleSpec
from controlplane.core.safety import Refusal
from controlplane.core.secrets import MASK, GatewaySecret, Secret, SecretRef, is_gateway_reference
from controlplane.core.spec import Document, KeySpec, ProviderSpec, QueueSpec, TenantSpec, TierSpec
from controlplane.errors import Problem

Item = Provider | Tenant | Queue | Key | Rule | Tier | Gateway
T = TypeVar("T", bound=Item)
_UNMADE = "made up when it is applied"


@dataclass(frozen=True, slots=True)
class DeclaredChange:
    """One declared object that comes, changes or goes."""

    action: Action
    kind: str
    name: str
    differing: tuple[FieldChange, ...] = ()
    """The fields of what is there before and after."""
    before: Item | None = field(default=None, repr=False)
    after: Item | None = field(default=None, repr=False)

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """Every field that comes or changes; what is new is put into words only when somebody asks."""
        if self.before is None and self.after is not None:
            return first_fields(self.after.spec, secrets_of(self.after))
        return self.differing

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Wanted:
    """What would be declared, and how it differs from what is."""

    state: DesiredState
    changes: tuple[DeclaredChange, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    problems: tuple[Problem, ...] = ()
    protected: tuple[str, ...] = ()
    """What a prune would have removed, had it not been protected."""

    @property
    def gateways(self) -> Sequence[DeclaredChange]:
        """The gateways that come, change or go."""
        return [change for change in self.changes if change.kind == "gateway"]

    @property
    def tenants(self) -> Sequence[TenantSpec]:
        """The tenants that come or change."""
        return [change.after.spec for change in self.changes if isinstance(change.after, Tenant)]

    @property
    def of_queues(self) -> Sequence[DeclaredChange]:
        """The changes of what gateways enforce."""
        return [change for change in self.changes if change.kind != "gateway"]


def declare(
    document: Document,
    current: DesiredState,
    digest: Digest,
    *,
    prune: bool = False,
    beside: DesiredState | None = None,
    gateways: Mapping[str, Gateway] | None = None,
) -> Wanted:
    """Lay a document over the current state. With `prune`, what its source declares no longer goes.

    `beside` has what the document may refer to and cannot change; `gateways` are those that there are.
    """
    work = _Overlay(document.source, digest)
    told = "gateways" in document.model_fields_set
    work.lay("gateway", document.gateways, gateways or {}, work.gateway, prune=prune and told)
    state = DesiredState(
        current.revision,
        work.lay("provider", document.providers, current.providers, work.provider, prune=prune),
        work.lay("tenant", document.tenants, current.tenants, work.tenant, prune=prune),
        work.lay("queue", document.queues, current.queues, work.queue, prune=prune),
        work.lay("key", document.keys, current.keys, work.key, prune=prune),
        work.lay("rule", document.rules, current.rules, work.rule, prune=prune),
        work.lay("tier", document.tiers, current.tiers, work.tier, prune=prune),
    )
    changes = tuple(work.changes)
    problems = (*work.problems, *dangling(changes, (state, beside or DesiredState())))
    refusals = (*work.refusals, *still_used(changes, state), *_tiers_still_named(changes, state))
    return Wanted(state, changes, refusals, problems, tuple(work.protected))


class _Overlay:
    def __init__(self, source: str, digest: Digest) -> None:
        self._source = source
        self._digest = digest
        self.changes: list[DeclaredChange] = []
        self.refusals: list[Refusal] = []
        self.problems: list[Problem] = []
        self.protected: list[str] = []

    def lay(
        self,
        kind: str,
        specs: Iterable[Any],  # Any: the specs of the kind
        current: Mapping[str, T],
        make: Callable[[Any, Any], T],
        *,
        prune: bool,
    ) -> Mapping[str, T]:
        """One kind: the items that there would be, by name; the same mapping where nothing changes."""
        made: dict[str, T] = {}
        declared: set[str] = set()
        for spec in specs:
            declared.add(spec.name)
            before = current.get(spec.name)
            if before is not None and before.source != self._source:
                self._owned(kind, spec.name, before.source)
                continue
            after = make(spec, before)
            if before is not None and _same(before, after):
                continue
            made[spec.name] = after
            self._changed(kind, before, after)
        gone = self._gone(kind, current, declared) if prune else set()
        if not made and not gone:
            return current
        return {name: item for name, item in current.items() if name not in gone} | made

    def gateway(self, spec: GatewaySpec, before: Gateway | None) -> Gateway:
        object_id = before.id if before else derived_id("gateway", spec.name)
        kept = secrets_of(before) if before else {}
        held = {
            name: self._secret("gateway", spec.name, object_id, name, value, kept.get(name))
            for name, value in (("admin_key", spec.admin_key), ("redis_url", spec.redis_url))
        }
        bare = spec.model_copy(update=dict.fromkeys(held))
        return Gateway(object_id, bare, held["admin_key"], held["redis_url"], self._source)

    def provider(self, spec: ProviderSpec, before: Provider | None) -> Provider:
        object_id = before.id if before else derived_id("provider", spec.name)
        secret = self._secret("provider", spec.name, object_id, "api_key", spec.api_key, _held(before))
        bare = spec.model_copy(update={"api_key": None}) if spec.api_key else spec
        return Provider(object_id, bare, secret, self._source)

    def tier(self, spec: TierSpec, before: Tier | None) -> Tier:
        return Tier(before.id if before else derived_id("tier", spec.name), spec, self._source)

    def tenant(self, spec: TenantSpec, before: Tenant | None) -> Tenant:
        return Tenant(before.id if before else derived_id("tenant", spec.name), spec, self._source)

    def queue(self, spec: QueueSpec, before: Queue | None) -> Queue:
        object_id = before.id if before else spec.id or derived_id("queue", spec.name)
        if spec.id not in (None, object_id):
            remedy = f"leave it out, or write {object_id}"
            self.problems.append(Problem(f"queues.{spec.name}.id", "the id of a queue never changes", remedy))
        return Queue(object_id, spec.model_copy(update={"id": object_id}), self._source)

    def key(self, spec: KeySpec, before: Key | None) -> Key:
        object_id = before.id if before else derived_id("key", spec.name)
        secret = self._secret("key", spec.name, object_id, "key", spec.key, _held(before))
        update = {
            "key": None,
            "queues": tuple(sorted(spec.queues)),
            "providers": tuple(sorted(spec.providers)),
            "rules": tuple(sorted(spec.rules)),
        }
        made = secret or SecretRef(f"key/{object_id}/key", _UNMADE)
        # Whoever writes a key's text means that one, and none that it had before.
        old_texts = before.old_texts if before and before.secret == made else ()
        rotated = before.rotated if before else False
        bare = spec.model_copy(update=update)
        return Key(object_id, bare, cast(SecretRef, made), self._source, old_texts, rotated)

    def rule(self, spec: RuleSpec, before: Rule | None) -> Rule:
        object_id = before.id if before else derived_id("rule", spec.name)
        secret = self._secret("rule", spec.name, object_id, "api_key", spec.api_key, _held(before))
        bare = spec.model_copy(update={"api_key": None}) if spec.api_key else spec
        return Rule(object_id, bare, secret, self._source)

    def _secret(
        self,
        kind: str,
        name: str,
        object_id: UUID,
        place: str,
        value: SecretStr | None,
        kept: Secret | None,
    ) -> Secret | None:
        """The handle of a secret; what is `***` or left out stays as it was."""
        text = value.get_secret_value() if value is not None else MASK
        if text == MASK:
            if value is not None and kept is None and kind != "key":
                message = "`***` stands for a secret that is stored, and none is"
                self.problems.append(Problem(f"{kind}s.{name}.{place}", message, "write it"))
            return kept
        if is_gateway_reference(text):
            return GatewaySecret(text)
        return SecretRef(f"{kind}/{object_id}/{place}", self._digest(text))

    def _changed(self, kind: str, before: Item | None, after: Item) -> None:
        if before is None:
            self.changes.append(DeclaredChange(Action.CREATE, kind, after.spec.name, after=after))
        else:
            fields = spec_differences(before.spec, after.spec, secrets_of(before), secrets_of(after))
            self.changes.append(DeclaredChange(Action.UPDATE, kind, after.spec.name, fields, before, after))

    def _gone(self, kind: str, current: Mapping[str, T], declared: set[str]) -> set[str]:
        """What this source declared before and does not declare now."""
        found: set[str] = set()
        for name, item in current.items():
            if item.source != self._source or name in declared:
                continue
            if item.spec.protect:
                self.protected.append(f"{kind} {name}")
                continue
            found.add(name)
            self.changes.append(DeclaredChange(Action.DELETE, kind, name, before=item))
        return found

    def _owned(self, kind: str, name: str, source: str) -> None:
        self.refusals.append(
            Refusal(
                f"{kind}s.{name}",
                f"belongs to source {source!r}, not to {self._source!r}",
                "remove it from this file, or delete it there first",
            )
        )


def _same(before: Item, after: Item) -> bool:
    return before.spec == after.spec and secrets_of(before) == secrets_of(after)


def _held(item: Provider | Key | Rule | None) -> Secret | None:
    return item.secret if item else None


def secrets_of(item: Item) -> Mapping[str, Secret | None]:
    """The handles of what an item's secret fields hold, by the names of the fields."""
    match item:
        case Gateway():
            return {"admin_key": item.admin_key, "redis_url": item.redis_url}
        case Provider() | Rule():
            return {"api_key": item.secret}
        case Key():
            return {"key": item.secret}
    return {}


def dangling(changes: Iterable[DeclaredChange], usable: Sequence[DesiredState]) -> Iterator[Problem]:
    """References of what is declared that lead nowhere."""
    gone = {(change.kind, change.name) for change in changes if change.action is Action.DELETE}
    declared = (
        (f"{change.kind}s.{change.name}", change.after.spec) for change in changes if change.after is not None
    )
    yield from leading_nowhere(
        declared,
        lambda kind, name: (kind, name) in gone or any(name in named(state, kind) for state in usable),
        lambda kind: [each for state in usable for each in named(state, kind)],
    )


def still_used(changes: Iterable[DeclaredChange], state: DesiredState) -> Iterator[Refusal]:
    """Removals that would leave a reference behind."""
    gone = {(change.kind, change.name) for change in changes if change.action is Action.DELETE}
    if not gone:
        return
    for kind in ("provider", "queue", "key", "rule"):
        items = named(state, kind)
        for name, item in items.items():
            for _, target, used in references(item.spec):
                if (target, used) in gone:
                    message = f"is still used by {kind} {name} of source {item.source!r}"
                    remedy = f"keep it in the file, or remove it from the {kind} first"
                    yield Refusal(f"{target}s.{used}", message, remedy)


def _tiers_still_named(changes: Iterable[DeclaredChange], state: DesiredState) -> Iterator[Refusal]:
    """Tiers that go although tenants would lose their limits with them."""
    gone = {change.name for change in changes if change.kind == "tier" and change.action is Action.DELETE}
    for name, tenant in state.tenants.items():
        if tenant.spec.tier in gone:
            message = f"is still the tier of tenant {name}"
            yield Refusal(
                f"tiers.{tenant.spec.tier}", message, "keep it in the file, or change the tenant first"
            )


def named(state: DesiredState, kind: str) -> Mapping[str, Item]:
    """The declared objects of a kind, by name."""
    found: Mapping[str, Item] = getattr(state, f"{kind}s")
    return found
