"""Tiers that tenants name and that nobody has declared: the tenants have no limits by them."""

from collections.abc import Collection, Iterable, Iterator

from controlplane.core.problems import meant_by
from controlplane.core.spec import TenantSpec
from controlplane.errors import Problem

_DECLARE = "declare it, or correct the name"


def undeclared_tiers(tenants: Iterable[TenantSpec], known: Collection[str]) -> Iterator[Problem]:
    """What is worth a warning; fields are named from the document's top.

    No error, for a tier may come later, and a gateway may have it for itself.
    """
    for tenant in tenants:
        if tenant.tier is not None and tenant.tier not in known:
            message = f"no tier {tenant.tier!r} is declared, so it sets no limits"
            remedy = meant_by(tenant.tier, known, _DECLARE)
            yield Problem(f"tenants.{tenant.name}.tier", message, remedy)
