"""Puts a replica's reconciler together."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from uuid import UUID
from weakref import WeakValueDictionary

from jinja2 import FileSystemLoader

from controlplane.clock import Clock
from controlplane.core.compile import Compiler, Target
from controlplane.core.memory import Memory
from controlplane.core.render import Renderer
from controlplane.core.secrets import SecretRef
from controlplane.core.uses import UsesAddress
from controlplane.core.validation import VALIDATION, ValidationAddress
from controlplane.gateway.making import driver_of
from controlplane.gateway.yaml_file import FilePlace
from controlplane.reconciler.passes import GatewayPass
from controlplane.reconciler.planning import Planner
from controlplane.reconciler.service import MakePass, Reconciler
from controlplane.settings import Settings
from controlplane.store.reconciling import GatewayRecord, ReconcilingStore
from controlplane.store.seal import Sealer
from controlplane.store.store import Store

TEMPLATES = Path(__file__).parents[2] / "templates" / "apisix"


def make_reconciling(settings: Settings, store: Store, clock: Clock) -> tuple[Reconciler, Planner]:
    """The reconciler of this replica, and what makes plans in it, which writes nothing.

    They share what is declared, and what was compiled of it.
    """
    work = ReconcilingStore(store.database, store.sealer)
    make_pass = pass_maker(settings, store, work, clock)
    reconciler = Reconciler(work, store.database.connect, make_pass, interval_s=settings.reconcile_interval_s)
    return reconciler, Planner(work, make_pass, store.sealer.fingerprint, clock)


def pass_maker(settings: Settings, store: Store, work: ReconcilingStore, clock: Clock) -> MakePass:
    """What makes the passes over each gateway."""
    renderer = Renderer(FileSystemLoader(TEMPLATES))
    replica = f"{socket.gethostname()}:{os.getpid()}"
    validation = ValidationAddress(settings.gateways_url, _token_of(store.sealer))
    memories: WeakValueDictionary[tuple[UUID, int], Memory] = WeakValueDictionary()

    def make_pass(record: GatewayRecord, may_write: Callable[[], bool]) -> GatewayPass:
        target = Target(
            *(settings.owner, record.counters, settings.base_domain, record.platform, validation),
            labels=record.labels,
            uses=_uses_address(settings.gateways_url, record, store.sealer) if record.last_used else None,
        )
        return GatewayPass(
            record=record,
            gateway=driver_of(
                record.kind,
                record.admin_url,
                record.admin_key,
                plugins=record.plugins,
                file=FilePlace(settings.gateway_files, record.file) if record.file else None,
            ),
            compiler=Compiler(renderer, target),
            store=work,
            digest=store.sealer.fingerprint,
            owner=settings.owner,
            clock=clock,
            replica=replica,
            may_write=may_write,
            memory=memories.setdefault((record.id, record.version), Memory()),
        )

    return make_pass


def _uses_address(service: str, record: GatewayRecord, sealer: Sealer) -> UsesAddress:
    return UsesAddress.of(service, record.id, sealer.fingerprint(sealer.uses_token(record.id)))


def _token_of(sealer: Sealer) -> Callable[[UUID], SecretRef]:
    def token(rule: UUID) -> SecretRef:
        return SecretRef(f"rule/{rule}/{VALIDATION}", sealer.fingerprint(sealer.validation_token(rule)))

    return token
