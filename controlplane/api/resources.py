"""The resources: one set of handlers for each kind of declared object."""

from typing import Any

from litestar import HttpMethod, Response, Router, delete, get, patch, post, put, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from controlplane.api.accepting import accepted
from controlplane.api.access import author_of, needs, principal_of
from controlplane.api.bodies import PATCH_TYPES, AnyRequest, read_json
from controlplane.api.compat.handlers import create_older_tenant, is_older_tenant
from controlplane.api.queries import LARGEST_PAGE, flag, list_query, only, wanted_versions
from controlplane.api.service import service_of
from controlplane.api.uses import AskedToTell
from controlplane.api.views import Shown, gateway_view, object_view, reply
from controlplane.core.access import Permission
from controlplane.core.gateways import GatewaySpec
from controlplane.core.spec import TenantSpec
from controlplane.core.tiers import undeclared_tiers
from controlplane.errors import Forbidden
from controlplane.store.records import Kind, Query, Spec, Stored, Written

PREFIX = "/api/v1"
_NEVER = -1
_WRITES = {
    Kind.TIER: Permission.TENANTS,
    Kind.TENANT: Permission.TENANTS,
    Kind.GATEWAY: Permission.GATEWAYS,
}


def resource_router(kind: Kind) -> Router:
    """List, create, read, replace, patch and delete objects of a kind."""
    handlers = _Handlers(kind)
    reads: dict[str, Any] = {"opt": needs(Permission.READ)}  # Any: Litestar's options
    writes: dict[str, Any] = {"opt": needs(_WRITES.get(kind, Permission.WRITE))}
    return Router(
        path=f"{PREFIX}/{kind.plural}",
        route_handlers=[
            options("/", "GET, POST, OPTIONS"),
            options("/{ref:str}", "GET, PUT, PATCH, DELETE, OPTIONS"),
            get("/", name=f"list_{kind.plural}", **reads)(handlers.list),
            post("/", name=f"create_{kind}", status_code=201, **writes)(handlers.create),
            get("/{ref:str}", name=f"read_{kind}", **reads)(handlers.read),
            put("/{ref:str}", name=f"replace_{kind}", **writes)(handlers.replace),
            patch("/{ref:str}", name=f"patch_{kind}", **writes)(handlers.patch),
            delete("/{ref:str}", name=f"delete_{kind}", status_code=204, **writes)(handlers.delete),
        ],
    )


def options(path: str, allow: str) -> HTTPRouteHandler:
    """Comes before the others, or the framework makes one that names the first of them only."""

    @route(path, http_method=[HttpMethod.OPTIONS], status_code=204, opt=needs(Permission.SELF))
    async def allowed() -> Response[None]:
        return Response(None, headers={"Allow": allow})

    return allowed


async def version_wanted(request: AnyRequest, kind: Kind, ref: str) -> int | None:
    """The version that a write depends on; one that there never is where If-Match allows none of ours."""
    wanted = wanted_versions(request)
    if wanted is None or len(wanted) == 1:
        return wanted[0] if wanted else None
    stored = await service_of(request).store.get(kind, ref)
    return stored.version if stored.version in wanted else _NEVER


class _Handlers:
    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    async def list(self, request: AnyRequest) -> Response[bytes]:
        page = await service_of(request).store.page(self._kind, list_query(request, self._kind))
        items = [await self._view(request, stored) for stored in page.items]
        return reply({"items": items, "next_cursor": page.next_cursor})

    async def create(self, request: AnyRequest) -> Response[bytes]:
        only(request, ())
        values = await read_json(request)
        if self._kind is Kind.TENANT and is_older_tenant(values):
            return await create_older_tenant(request, values)
        spec = await accepted(request, self._kind, values)
        _can_be_told(request, spec)
        service = service_of(request)
        written = await service.store.create(self._kind, spec, author_of(request))
        service.wake()
        location = f"{PREFIX}/{self._kind.plural}/{written.stored.spec.name}"
        return await self._written(request, written, status=201, Location=location)

    async def read(self, request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
        known = ("show_secrets",) if self._kind is Kind.GATEWAY else ()
        values = only(request, known)
        service = service_of(request)
        stored = await service.store.get(self._kind, ref)
        view = await self._view(request, stored)
        if flag(values.get("show_secrets", "false"), "show_secrets"):
            if not principal_of(request).may(Permission.SECRETS):
                raise Forbidden("secrets are shown to administrators only", remedy="leave show_secrets out")
            view |= await service.store.reveal(self._kind, ref, author_of(request))
        return reply(view, ETag=stored.etag)

    async def replace(self, request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
        only(request, ())
        spec = await accepted(request, self._kind, await read_json(request))
        _can_be_told(request, spec)
        service = service_of(request)
        written = await service.store.replace(
            self._kind, ref, spec, author_of(request), await version_wanted(request, self._kind, ref)
        )
        service.wake()
        return await self._written(request, written)

    async def patch(self, request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
        only(request, ())
        changes = await read_json(request, types=PATCH_TYPES)
        if self._kind is Kind.GATEWAY:
            asked: AskedToTell = request.app.state.asked_to_tell
            await asked.check(request, ref, changes)
        service = service_of(request)
        written = await service.store.patch(
            self._kind, ref, changes, author_of(request), await version_wanted(request, self._kind, ref)
        )
        service.wake()
        return await self._written(request, written)

    async def delete(self, request: AnyRequest, ref: FromPath[str]) -> None:
        only(request, ())
        service = service_of(request)
        version = await version_wanted(request, self._kind, ref)
        await service.store.delete(self._kind, ref, author_of(request), version)
        service.wake()

    async def _written(
        self, request: AnyRequest, written: Written[Any], *, status: int = 200, **headers: str
    ) -> Response[bytes]:
        view = await self._view(request, written.stored)
        if written.new_key is not None:
            view["key"] = written.new_key
        if self._kind is Kind.TENANT:
            headers |= await _tier_warning(request, written.stored.spec)
        return reply(view, status=status, ETag=written.stored.etag, **headers)

    async def _view(self, request: AnyRequest, stored: Stored[Any]) -> Shown:
        if self._kind is not Kind.GATEWAY:
            return object_view(stored)
        status = await service_of(request).store.gateway_status(stored.id)
        return gateway_view(stored, status, whole=principal_of(request).reach is None)


async def _tier_warning(request: AnyRequest, tenant: TenantSpec) -> dict[str, str]:
    """The header that says of a tenant that its tier is declared nowhere."""
    if tenant.tier is None:
        return {}
    store, most = service_of(request).store, Query(limit=LARGEST_PAGE)
    known = {tier.spec.name for tier in (await store.page(Kind.TIER, most)).items}
    known |= {name for gateway in (await store.page(Kind.GATEWAY, most)).items for name in gateway.spec.tiers}
    found = [f"tier: {item.message}; {item.remedy}" for item in undeclared_tiers([tenant], known)]
    return {"Warning": f'299 sluice "{found[0]}"'} if found else {}


def _can_be_told(request: AnyRequest, spec: Spec) -> None:
    """Raises InvalidSpec where a gateway is asked to tell what it has no way to tell."""
    if isinstance(spec, GatewaySpec):
        asked: AskedToTell = request.app.state.asked_to_tell
        asked.judge(spec.last_used, spec.admin_url)
