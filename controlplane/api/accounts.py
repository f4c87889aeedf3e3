"""Accounts and their tokens."""

from typing import Any, TypeVar
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import FromPath
from pydantic import ValidationError

from controlplane.api.access import author_of, needs, principal_of
from controlplane.api.bodies import PATCH_TYPES, AnyRequest, read_json
from controlplane.api.queries import only
from controlplane.api.resources import PREFIX, options
from controlplane.api.service import service_of
from controlplane.api.views import record_view, reply
from controlplane.core.access import AccountSpec, Permission, TokenSpec
from controlplane.core.declared import Declared
from controlplane.core.problems import problems_of
from controlplane.errors import InvalidSpec, NotFound
from controlplane.store.store import merge

_Spec = TypeVar("_Spec", bound=Declared)


@get("/", name="list_accounts")
async def list_accounts(request: AnyRequest) -> Response[bytes]:
    """Every account."""
    only(request, ())
    found = await service_of(request).store.accounts.all(principal_of(request).reach)
    return reply({"items": [record_view(account) for account in found]})


@post("/", name="create_account", status_code=201)
async def create_account(request: AnyRequest) -> Response[bytes]:
    """Let somebody in."""
    only(request, ())
    spec = _validated(AccountSpec, await read_json(request))
    accounts = service_of(request).store.accounts
    account = await accounts.create(spec, author_of(request), principal_of(request).reach)
    return reply(record_view(account), status=201, Location=f"{PREFIX}/accounts/{account.name}")


@get("/{ref:str}", name="read_account")
async def read_account(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """One account."""
    only(request, ())
    return reply(record_view(await service_of(request).store.accounts.get(ref, principal_of(request).reach)))


@put("/{ref:str}", name="replace_account")
async def replace_account(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """Another declaration for an account."""
    only(request, ())
    spec = _validated(AccountSpec, await read_json(request))
    accounts = service_of(request).store.accounts
    return reply(
        record_view(await accounts.replace(ref, spec, author_of(request), principal_of(request).reach))
    )


@patch("/{ref:str}", name="patch_account")
async def patch_account(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """Change an account: a merge patch."""
    only(request, ())
    changes = await read_json(request, types=PATCH_TYPES)
    accounts, reach = service_of(request).store.accounts, principal_of(request).reach
    declared = record_view(await accounts.get(ref, reach))
    spec = _validated(
        AccountSpec, merge({name: declared[name] for name in AccountSpec.model_fields}, changes)
    )
    return reply(record_view(await accounts.replace(ref, spec, author_of(request), reach)))


@delete("/{ref:str}", name="delete_account", status_code=204)
async def delete_account(request: AnyRequest, ref: FromPath[str]) -> None:
    """Let somebody in no longer."""
    only(request, ())
    await service_of(request).store.accounts.remove(ref, author_of(request), principal_of(request).reach)


@get("/{ref:str}/tokens", name="list_tokens")
async def list_tokens(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """The tokens of an account, without their texts."""
    only(request, ())
    found = await service_of(request).store.accounts.tokens(ref, principal_of(request).reach)
    return reply({"items": [record_view(token) for token in found]})


@post("/{ref:str}/tokens", name="issue_token", status_code=201)
async def issue_token(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """A token for an account: its text is shown this once."""
    only(request, ())
    spec = _validated(TokenSpec, await read_json(request))
    accounts = service_of(request).store.accounts
    made = await accounts.issue(ref, spec, author_of(request), principal_of(request).reach)
    return reply({**record_view(made.token), "text": made.text}, status=201)


@delete("/{ref:str}/tokens/{token:str}", name="revoke_token", status_code=204)
async def revoke_token(request: AnyRequest, ref: FromPath[str], token: FromPath[str]) -> None:
    """The token opens nothing from now on."""
    only(request, ())
    accounts = service_of(request).store.accounts
    await accounts.revoke(ref, _token_id(token), author_of(request), principal_of(request).reach)


def accounts_router() -> Router:
    handlers: list[Any] = [  # Any: Litestar's handlers
        options("/", "GET, POST, OPTIONS"),
        options("/{ref:str}", "GET, PUT, PATCH, DELETE, OPTIONS"),
        options("/{ref:str}/tokens", "GET, POST, OPTIONS"),
        list_accounts,
        create_account,
        read_account,
        replace_account,
        patch_account,
        delete_account,
        list_tokens,
        issue_token,
        revoke_token,
    ]
    return Router(path=f"{PREFIX}/accounts", route_handlers=handlers, opt=dict(needs(Permission.ACCOUNTS)))


def _validated(model: type[_Spec], values: dict[str, Any]) -> _Spec:  # Any: JSON
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = problems_of(error, model, values)
        raise InvalidSpec("this cannot be accepted", problems=problems) from None


def _token_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("there is no such token", remedy="see `ctl token list`") from None
