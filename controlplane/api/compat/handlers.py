"""The addresses of older request shapes."""

from typing import Any, TypeVar

from litestar import Response, Router, post
from litestar.params import FromPath
from pydantic import ValidationError

from controlplane.api.access import author_of, needs
from controlplane.api.bodies import AnyRequest, read_json
from controlplane.api.compat.shapes import OlderBudget, OlderRule, OlderTenant, slug
from controlplane.api.queries import only
from controlplane.api.service import service_of
from controlplane.api.views import Shown, object_view, reply
from controlplane.core.access import Permission
from controlplane.core.declared import Declared
from controlplane.core.problems import problems_of
from controlplane.core.spec import EVERYTHING, Document, KeySpec, TenantSpec
from controlplane.errors import Conflict, InvalidSpec, NotFound
from controlplane.store.documents import validated
from controlplane.store.records import Kind

T = TypeVar("T", bound=Declared)

# Any below: JSON.


def is_older_tenant(values: dict[str, Any]) -> bool:
    """Whether a body is a tenant as older clients send it."""
    return "enabled_plugins" in values or isinstance(values.get("required_plugins"), dict)


async def create_older_tenant(request: AnyRequest, values: dict[str, Any]) -> Response[bytes]:
    """A tenant and its first key, in one revision; the key's text is shown this once."""
    spec = validated(Kind.TENANT, _read(OlderTenant, values).declared)
    assert isinstance(spec, TenantSpec)  # noqa: S101 - the kind says so
    key = KeySpec(name=slug(f"{spec.name}-first"), tenant=spec.name)
    service = service_of(request)
    try:
        await service.store.get(Kind.TENANT, spec.name)
    except NotFound:
        pass
    else:
        raise Conflict(f"the name {spec.name!r} is taken by another tenant", remedy="choose another name")
    document = Document(tenants=(spec,), keys=(key,))
    applied = await service.store.apply(document, author_of(request))
    service.wake()
    stored = await service.store.get(Kind.TENANT, spec.name)
    shown = {"tenant": object_view(stored), "api_key": applied.keys[key.name]}
    location = f"/api/v1/tenants/{spec.name}"
    return reply(shown, status=201, ETag=stored.etag, Location=location)


@post("/api/v1/tenants/{ref:str}/rules", name="create_older_rule", opt=needs(Permission.WRITE))
async def create_older_rule(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """A forwarding rule of a tenant, which every key of the tenant opens."""
    only(request, ())
    values = await read_json(request)
    service = service_of(request)
    tenant = (await service.store.get(Kind.TENANT, ref)).spec.name
    spec = validated(Kind.RULE, _read(OlderRule, values).declared(tenant))
    written = await service.store.create(Kind.RULE, spec, author_of(request))
    service.wake()
    return reply(object_view(written.stored), status=201, ETag=written.stored.etag)


@post("/config/budget", name="older_budget", status_code=200, opt=needs(Permission.TENANTS))
async def older_budget(request: AnyRequest) -> Response[bytes]:
    """A budget of everybody, or of teams, roles or users: in place of the one before."""
    only(request, ())
    budget = _read(OlderBudget, await read_json(request))
    kind, name = (Kind.TIER, EVERYTHING) if budget.tenant is None else (Kind.TENANT, budget.tenant)
    store, author = service_of(request).store, author_of(request)
    try:
        stored = await store.get(kind, name)
    except NotFound:
        if kind is Kind.TENANT:
            raise
        spec = validated(kind, {"name": EVERYTHING, "limits": [budget.declared]})
        written = await store.create(kind, spec, author)
    else:
        before = map(_written, await _in_force(request, object_view(stored)))
        limits = [*(limit for limit in before if not budget.replaces(limit)), budget.declared]
        written = await store.patch(kind, name, {"limits": limits}, author, stored.version)
    service_of(request).wake()
    return reply({"limits": {f"{kind} {name}": object_view(written.stored)["limits"]}})


async def _in_force(request: AnyRequest, owner: Shown) -> list[Shown]:
    """What an owner declares; a tenant that declares nothing goes on having what its tier says."""
    limits: list[Shown] = owner["limits"]
    if not limits and owner.get("tier"):
        try:
            tier = await service_of(request).store.get(Kind.TIER, owner["tier"])
        except NotFound:
            return []
        limits = object_view(tier)["limits"]
    return limits


def _written(limit: Shown) -> Shown:
    """A limit as somebody would write it: without what is left out."""
    return {name: value for name, value in limit.items() if value is not None}


def _read(model: type[T], values: dict[str, Any]) -> T:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidSpec("this cannot be declared", problems=problems_of(error, model, values)) from None


def compat_router() -> Router:
    return Router(path="/", route_handlers=[create_older_rule, older_budget])
