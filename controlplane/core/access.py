"""Who may do what in the control plane: roles, what each of them allows, and how far it reaches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from controlplane.core.checked import Checked, check
from controlplane.core.declared import Declared
from controlplane.core.refused_targets import USUAL_TARGETS, RefusedTargets
from controlplane.core.text import Name, Text
from controlplane.core.wrong_field import WrongField


class Role(StrEnum):
    """What an account is trusted with; each role may do what the one before it may."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    def covers(self, other: "Role") -> bool:
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER = (Role.VIEWER, Role.EDITOR, Role.ADMIN)


class Permission(StrEnum):
    """What a request does, as far as leave for it goes."""

    READ = "read"
    """See what is declared and how it stands. Secrets are masked."""
    WRITE = "write"
    """Declare, change and remove queues, keys, rules and providers."""
    TENANTS = "tenants"
    """Declare, change and remove tiers and tenants, with their limits."""
    GATEWAYS = "gateways"
    """Declare, change and remove gateways, and take over what is on them."""
    SECRETS = "secrets"
    """See a stored secret in plain text; each time is audited."""
    ACCOUNTS = "accounts"
    """Let people and services in, and see who is."""
    AUDIT = "audit"
    """Read who did what."""
    VERIFY = "verify"
    """Check that the audit is as it was written."""
    SELF = "self"
    """See one's own account."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The least role that has a permission, and whether a tenant's own people can have it."""

    role: Role
    tenants: bool


RULES: Mapping[Permission, Rule] = {
    Permission.SELF: Rule(Role.VIEWER, tenants=True),
    Permission.READ: Rule(Role.VIEWER, tenants=True),
    Permission.WRITE: Rule(Role.EDITOR, tenants=True),
    Permission.ACCOUNTS: Rule(Role.ADMIN, tenants=True),
    Permission.AUDIT: Rule(Role.ADMIN, tenants=True),
    Permission.TENANTS: Rule(Role.EDITOR, tenants=False),
    Permission.GATEWAYS: Rule(Role.ADMIN, tenants=False),
    Permission.SECRETS: Rule(Role.ADMIN, tenants=False),
    Permission.VERIFY: Rule(Role.ADMIN, tenants=False),
}


@dataclass(frozen=True, slots=True)
class Reach:
    """The one tenant that somebody's view of the system ends at."""

    tenant: str
    tenant_id: UUID
    refused: RefusedTargets = field(default=USUAL_TARGETS, compare=False, repr=False)
    """Where they may not send calls."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has proven who they are."""

    name: str
    role: Role
    reach: Reach | None = None
    """None: everything."""
    account: UUID | None = None
    """None: whoever holds SLUICE_ADMIN_TOKEN."""

    def may(self, permission: Permission) -> bool:
        rule = RULES[permission]
        return self.role.covers(rule.role) and (self.reach is None or rule.tenants)


class AccountKind(StrEnum):
    """Who is behind an account."""

    PERSON = "person"
    SERVICE = "service"


Email = Annotated[
    str,
    StringConstraints(pattern=r"^[^@\s\x00-\x1f]{1,64}@[A-Za-z0-9.-]{1,189}$", strict=True, to_lower=True),
]


class AccountSpec(Declared, Checked):
    """Somebody who may use the control plane, as an administrator declares them."""

    name: Name
    kind: AccountKind = AccountKind.PERSON
    role: Role = Role.VIEWER
    tenant: Name | None = None
    """The tenant whose things the account may see and change; everything without one."""
    email: Email | None = None
    """What the identity provider knows a person by: they sign in with it."""
    enabled: Annotated[bool, Field(strict=True)] = True

    @check
    def _people_sign_in(self) -> Iterator[WrongField]:
        if self.kind is AccountKind.SERVICE and self.email is not None:
            yield WrongField("email", "a service does not sign in; remove `email`, and make it a token")


class TokenSpec(Declared):
    """A token that is to be made."""

    label: Annotated[Text, Field(max_length=120)] = ""
    """What it is for."""
    expires_at: AwareDatetime | None = None
    """When it ends; never where it is left out."""
