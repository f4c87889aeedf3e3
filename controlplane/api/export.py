"""What is declared, as documents that change nothing when they are applied."""

from litestar import Response, Router, get

from controlplane.api.access import needs
from controlplane.api.bodies import AnyRequest
from controlplane.api.queries import only
from controlplane.api.resources import PREFIX
from controlplane.api.service import service_of
from controlplane.api.views import reply
from controlplane.core.access import Permission


@get("/export", name="export", opt=needs(Permission.READ))
async def export(request: AnyRequest) -> Response[bytes]:
    """A document for each source; secrets read `***`, which stands for what is stored."""
    values = only(request, ("source",))
    revision, documents = await service_of(request).store.export(values.get("source"))
    return reply({"revision": revision, "documents": documents})


def export_router() -> Router:
    return Router(path=PREFIX, route_handlers=[export])
