"""The addresses of older request shapes."""

from typing import Any, TypeVar

from litestar import Response, Router, post
from litestar.params import FromPath
from pydantic import ValidationError

from controlplane.api.access import author_of, needs, principal_of
from controlplane.api.bodies import AnyRequest, read_json
from controlplane.api.compat.shapes import EACH, OlderBudget, OlderRule, OlderTenant, Scope, slug
from controlplane.api.queries import only
from controlplane.api.service import service_of
from controlplane.api.views import Shown, object_view, reply
from controlplane.core.access import Permission
from controlplane.core.declared import Declared
from controlplane.core.problems import problems_of
from controlplane.core.spec import Document, KeySpec, TenantSpec
from controlplane.errors import Conflict, Forbidden, InvalidSpec, NotFound, Problem
from controlplane.store.documents import validated
from controlplane.store.records import Kind, Query

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
    """A budget of everybody, or of each team, role or user of a tenant: in place of the one before."""
    only(request, ())
    budget = _read(OlderBudget, await read_json(request))
    if budget.scope is Scope.GLOBAL:
        limits = await _of_everybody(request, budget)
    else:
        limits = await _of_a_tenant(request, budget)
    service_of(request).wake()
    return reply({"limits": limits})


async def _of_everybody(request: AnyRequest, budget: OlderBudget) -> Shown:
    if not principal_of(request).may(Permission.GATEWAYS):
        raise Forbidden("what everybody may spend is declared on gateways, by administrators")
    store, author = service_of(request).store, author_of(request)
    found: Shown = {}
    for gateway in (await store.page(Kind.GATEWAY, Query(limit=500))).items:
        patch = {"limits": [budget.declared]}
        written = await store.patch(Kind.GATEWAY, gateway.spec.name, patch, author)
        found[f"gateway {gateway.spec.name}"] = object_view(written.stored)["limits"]
    return found


async def _of_a_tenant(request: AnyRequest, budget: OlderBudget) -> Shown:
    if budget.id != EACH:
        message = f"one {budget.scope} cannot have a budget of its own; each of a tenant has as much"
        remedy = f"write `*`, or give a key of that {budget.scope} limits"
        raise InvalidSpec("this budget cannot be held", problems=[Problem("id", message, remedy)])
    if budget.tenant is None:
        message = f"a {budget.scope} belongs to a tenant"
        raise InvalidSpec(
            "this budget cannot be held", problems=[Problem("tenant", message, "name the tenant")]
        )
    store = service_of(request).store
    stored = await store.get(Kind.TENANT, budget.tenant)
    limits = [limit for limit in object_view(stored)["limits"] if limit.get("by") != budget.scope.value]
    patch = {"limits": [*map(_written, limits), budget.declared]}
    written = await store.patch(Kind.TENANT, budget.tenant, patch, author_of(request), stored.version)
    return {f"tenant {stored.spec.name}": object_view(written.stored)["limits"]}


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
