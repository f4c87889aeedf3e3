"""Who may use the control plane: accounts, the tokens they send, and the sessions of those who signed in.

A token or a session is kept as a keyed digest only, so that the database opens nothing by itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from controlplane.core.access import AccountKind, AccountSpec, Principal, Reach, Role, TokenSpec
from controlplane.core.apikeys import TOKEN_PREFIX, RandomSource, new_key
from controlplane.core.field_paths import visible
from controlplane.errors import Conflict, InvalidSpec, NotFound, Problem
from controlplane.store.audit import Entry, add_to_audit
from controlplane.store.database import Connection, Database
from controlplane.store.records import Author
from controlplane.store.seal import Sealer

ADMINISTRATOR = UUID(int=0)
THE_ADMINISTRATOR = Principal("admin", Role.ADMIN)
"""Whoever holds SLUICE_ADMIN_TOKEN."""
SESSION_LIFETIME = timedelta(hours=12)
TOKENS_EACH = 100
_SEEN_EVERY = timedelta(minutes=1)

_ACCOUNTS = """
    SELECT a.id, a.name, a.kind, a.role, t.name AS tenant, a.email, a.enabled, a.created_at
    FROM account a LEFT JOIN tenant t ON t.id = a.tenant_id"""
_PRINCIPAL = """
    SELECT a.id, a.name, a.role, a.tenant_id, t.name AS tenant
    FROM account a LEFT JOIN tenant t ON t.id = a.tenant_id"""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may use the control plane."""

    id: UUID
    name: str
    kind: AccountKind
    role: Role
    tenant: str | None
    email: str | None
    enabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an account, without its text."""

    id: UUID
    label: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was made just now, with its text, this once."""

    token: Token
    text: str = field(repr=False)


class Accounts:
    """Accounts, tokens and sessions. Whoever has a `reach` finds those of one tenant, and no others."""

    def __init__(self, database: Database, sealer: Sealer, random: RandomSource) -> None:
        self._database = database
        self._sealer = sealer
        self._random = random

    async def all(self, reach: Reach | None) -> Sequence[Account]:
        where, values = _within(reach)
        async with self._database.connection() as connection:
            found = await connection.fetch(f"{_ACCOUNTS} WHERE {where} ORDER BY a.name", *values)
        return [_account(record) for record in found]

    async def get(self, ref: str, reach: Reach | None) -> Account:
        """Raises NotFound."""
        async with self._database.connection() as connection:
            return await _find(connection, ref, reach)

    async def create(self, spec: AccountSpec, author: Author, reach: Reach | None) -> Account:
        async with self._database.transaction() as connection:
            account_id = uuid4()
            await _write(connection, account_id, spec, reach)
            account = await _find(connection, str(account_id), reach)
            await self._note(connection, author, "create", None, account)
            return account

    async def replace(self, ref: str, spec: AccountSpec, author: Author, reach: Reach | None) -> Account:
        """Another declaration for an account; its sessions end where it may do less than before."""
        async with self._database.transaction() as connection:
            before = await _find(connection, ref, reach)
            await _write(connection, before.id, spec, reach)
            after = await _find(connection, str(before.id), reach)
            if spec.email != before.email:
                await connection.execute("UPDATE account SET subject = NULL WHERE id = $1", before.id)
                await connection.execute("DELETE FROM session WHERE account_id = $1", before.id)
            await self._note(connection, author, "update", before, after)
            return after

    async def remove(self, ref: str, author: Author, reach: Reach | None) -> None:
        """The account, its tokens and its sessions, from this moment on."""
        async with self._database.transaction() as connection:
            account = await _find(connection, ref, reach)
            await connection.execute("DELETE FROM account WHERE id = $1", account.id)
            await self._note(connection, author, "delete", account, None)

    async def tokens(self, ref: str, reach: Reach | None) -> Sequence[Token]:
        async with self._database.connection() as connection:
            account = await _find(connection, ref, reach)
            found = await connection.fetch(
                "SELECT id, label, created_at, expires_at, last_used_at FROM access_token "
                "WHERE account_id = $1 ORDER BY created_at, id",
                account.id,
            )
        return [Token(**record) for record in found]

    async def issue(self, ref: str, spec: TokenSpec, author: Author, reach: Reach | None) -> NewToken:
        """A token for the account."""
        text = new_key(self._random, TOKEN_PREFIX)
        async with self._database.transaction() as connection:
            account = await _find(connection, ref, reach)
            count = await connection.fetchval(
                "SELECT count(*) FROM access_token WHERE account_id = $1", account.id
            )
            if count >= TOKENS_EACH:
                raise Conflict(
                    f"account {account.name!r} has {TOKENS_EACH} tokens already",
                    remedy="revoke those that nobody uses",
                )
            record = await connection.fetchrow(
                "INSERT INTO access_token (id, account_id, lookup, label, created_at, expires_at) "
                "VALUES ($1, $2, $3, $4, now(), $5) "
                "RETURNING id, label, created_at, expires_at, last_used_at",
                *(uuid4(), account.id, self._sealer.lookup(text), spec.label, spec.expires_at),
            )
            token = Token(**record)
            await self._note_token(connection, author, "issue token", account, token)
        return NewToken(token, text)

    async def revoke(self, ref: str, token_id: UUID, author: Author, reach: Reach | None) -> None:
        """The token opens nothing from this moment on."""
        async with self._database.transaction() as connection:
            account = await _find(connection, ref, reach)
            record = await connection.fetchrow(
                "DELETE FROM access_token WHERE account_id = $1 AND id = $2 "
                "RETURNING id, label, created_at, expires_at, last_used_at",
                *(account.id, token_id),
            )
            if record is None:
                raise NotFound(f"account {account.name!r} has no token {token_id}")
            await self._note_token(connection, author, "revoke token", account, Token(**record))

    async def of_token(self, text: str) -> Principal | None:
        """Whom a token stands for; None where it stands for nobody, or for somebody who may not enter."""
        lookup = self._sealer.lookup(text)
        async with self._database.connection() as connection:
            record = await connection.fetchrow(
                f"{_PRINCIPAL} JOIN access_token k ON k.account_id = a.id WHERE k.lookup = $1 "
                "AND a.enabled AND (k.expires_at IS NULL OR k.expires_at > now())",
                lookup,
            )
            if record is not None:
                await connection.execute(
                    "UPDATE access_token SET last_used_at = now() WHERE lookup = $1 "
                    "AND (last_used_at IS NULL OR last_used_at < now() - $2::interval)",
                    *(lookup, _SEEN_EVERY),
                )
        return _principal_of(record)

    async def of_identity(self, issuer: str, subject: str, email: str | None) -> Principal | None:
        """Whom an identity provider means. Whoever signs in first with an account's e-mail address owns it.

        After that the account is found by the provider's own name for them, and by nothing else.
        """
        known = f"{issuer} {subject}"
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE account SET subject = $1 WHERE email = $2 AND subject IS NULL AND kind = 'person' "
                "AND NOT EXISTS (SELECT FROM account WHERE subject = $1)",
                *(known, (email or "").lower()),
            )
            record = await connection.fetchrow(f"{_PRINCIPAL} WHERE a.subject = $1 AND a.enabled", known)
        return _principal_of(record)

    async def open_session(self, principal: Principal, author: Author, token: str | None) -> str:
        """The cookie of a session of somebody who has just proven who they are, maybe with a token."""
        text = new_key(self._random, TOKEN_PREFIX)
        digest = self._sealer.lookup(token) if token else None
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM session WHERE expires_at <= now()")
            await connection.execute(
                "INSERT INTO session (lookup, account_id, token_id, administrator, created_at, expires_at) "
                "SELECT $1, $2::uuid, t.id, CASE WHEN $2::uuid IS NULL THEN $3::text END, now(), "
                "least(now() + $4::interval, t.expires_at) "
                "FROM (SELECT) AS one LEFT JOIN access_token t ON t.lookup = $3::text",
                *(self._sealer.lookup(text), principal.account, digest, SESSION_LIFETIME),
            )
            who = principal.account or ADMINISTRATOR
            tenant = principal.reach.tenant_id if principal.reach else None
            entry = Entry("sign in", "account", who, principal.name, tenant=tenant)
            await add_to_audit(connection, self._sealer, author, [entry])
        return text

    async def of_session(self, text: str, admin_token: str) -> Principal | None:
        """Whose session it is; None where it has ended."""
        async with self._database.connection() as connection:
            record = await connection.fetchrow(
                "SELECT s.administrator, a.id, a.name, a.role, a.tenant_id, t.name AS tenant FROM session s "
                "LEFT JOIN account a ON a.id = s.account_id LEFT JOIN tenant t ON t.id = a.tenant_id "
                "WHERE s.lookup = $1 AND s.expires_at > now() AND (a.enabled OR s.administrator = $2)",
                *(self._sealer.lookup(text), self._sealer.lookup(admin_token)),
            )
        return THE_ADMINISTRATOR if record and record["administrator"] else _principal_of(record)

    async def close_session(self, text: str) -> None:
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM session WHERE lookup = $1", self._sealer.lookup(text))

    def csrf_token(self, session: str) -> str:
        """What a page of that session has to send with every change; it opens nothing by itself."""
        return self._sealer.lookup(f"csrf {session}")

    def sealed(self, text: str, purpose: str) -> str:
        """The text for somebody to keep who must neither read nor change it."""
        return self._sealer.seal(text, purpose)

    def opened(self, sealed: str, purpose: str) -> str:
        """The text that was sealed for that purpose. Raises CannotUnseal."""
        return self._sealer.unseal(sealed, purpose)

    async def _note(
        self,
        connection: Connection,
        author: Author,
        action: str,
        before: Account | None,
        after: Account | None,
    ) -> None:
        one = after or before
        if one is not None:
            tenant = await _tenant_id(connection, one)
            sides = (_shown(before), _shown(after))
            entry = Entry(action, "account", one.id, one.name, *sides, tenant=tenant)
            await add_to_audit(connection, self._sealer, author, [entry])

    async def _note_token(
        self, connection: Connection, author: Author, action: str, account: Account, token: Token
    ) -> None:
        shown = {"token": str(token.id), "label": token.label}
        tenant = await _tenant_id(connection, account)
        entry = Entry(action, "account", account.id, account.name, None, shown, tenant=tenant)
        await add_to_audit(connection, self._sealer, author, [entry])


async def _write(connection: Connection, account_id: UUID, spec: AccountSpec, reach: Reach | None) -> None:
    if reach is not None and spec.tenant not in (None, reach.tenant):
        problem = Problem("tenant", "is not yours", f"leave it out, or write {reach.tenant}")
        raise InvalidSpec("this account cannot be accepted", problems=[problem])
    tenant = reach.tenant if reach else spec.tenant
    tenant_id = await connection.fetchval("SELECT id FROM tenant WHERE name = $1", tenant) if tenant else None
    if tenant and tenant_id is None:
        problem = Problem("tenant", f"there is no tenant {tenant!r}", "declare the tenant first")
        raise InvalidSpec("this account cannot be accepted", problems=[problem])
    try:
        await connection.execute(
            "INSERT INTO account (id, name, kind, role, tenant_id, email, enabled, created_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, now()) ON CONFLICT (id) DO UPDATE SET "
            "name = excluded.name, kind = excluded.kind, role = excluded.role, "
            "tenant_id = excluded.tenant_id, email = excluded.email, enabled = excluded.enabled",
            *(account_id, spec.name, spec.kind.value, spec.role.value, tenant_id, spec.email, spec.enabled),
        )
    except asyncpg.UniqueViolationError as error:
        what = "email" if "email" in str(error.constraint_name) else "name"
        raise Conflict(
            f"this {what} is taken by another account",
            remedy=f"choose another {what}",
            problems=[Problem(what, "is taken")],
        ) from None


async def _find(connection: Connection, ref: str, reach: Reach | None) -> Account:
    """An account by its name, or by its UUID."""
    where, values = _within(reach)
    place = len(values) + 1
    record = await connection.fetchrow(
        f"{_ACCOUNTS} WHERE {where} AND (a.name = ${place} OR a.id::text = ${place})", *values, ref
    )
    if record is None:
        raise NotFound(f"there is no account {visible(ref)!r}", remedy="see `ctl account list`")
    return _account(record)


def _within(reach: Reach | None) -> tuple[str, list[object]]:
    return ("true", []) if reach is None else ("a.tenant_id = $1", [reach.tenant_id])


def _account(record: Any) -> Account:  # Any: asyncpg ships no types
    values = dict(record)
    return Account(**values | {"kind": AccountKind(values["kind"]), "role": Role(values["role"])})


def _principal_of(record: Any) -> Principal | None:  # Any: as above
    if record is None:
        return None
    reach = Reach(record["tenant"], record["tenant_id"]) if record["tenant_id"] else None
    return Principal(record["name"], Role(record["role"]), reach, record["id"])


async def _tenant_id(connection: Connection, account: Account) -> UUID | None:
    found: UUID | None = await connection.fetchval("SELECT id FROM tenant WHERE name = $1", account.tenant)
    return found


def _shown(account: Account | None) -> dict[str, Any] | None:  # Any: JSON
    if account is None:
        return None
    return {
        name: value for name, value in asdict(account).items() if name not in ("id", "created_at", "name")
    }
