"""What only keys can: be given another text while the one before goes on working for a while."""

from typing import Annotated

from litestar import Response, Router, post
from litestar.params import FromPath
from pydantic import AfterValidator, ValidationError

from controlplane.api.access import author_of, needs
from controlplane.api.bodies import AnyRequest, read_json
from controlplane.api.queries import only
from controlplane.api.resources import PREFIX, version_wanted
from controlplane.api.service import service_of
from controlplane.api.views import object_view, reply
from controlplane.core.access import Permission
from controlplane.core.declared import Declared
from controlplane.core.problems import problems_of
from controlplane.core.rotation import USUAL_OVERLAP, overlap_seconds
from controlplane.errors import InvalidSpec
from controlplane.store.records import Kind


def _overlap(text: str) -> str:
    overlap_seconds(text)
    return text


class Rotation(Declared):
    """How a key is given another text."""

    overlap: Annotated[str, AfterValidator(_overlap)] = USUAL_OVERLAP
    """How long the text before goes on working: `0` for not at all, `30m`, `24h`, `7d`; 90 days at most."""


@post("/keys/{ref:str}/rotate", name="rotate_key", status_code=200)
async def rotate_key(request: AnyRequest, ref: FromPath[str]) -> Response[bytes]:
    """Make up another text for a key, and show it this once."""
    only(request, ())
    values = await read_json(request, empty={})
    try:
        rotation = Rotation.model_validate(values)
    except ValidationError as error:
        raise InvalidSpec("this is no rotation", problems=problems_of(error, Rotation, values)) from None
    service = service_of(request)
    version = await version_wanted(request, Kind.KEY, ref)
    overlap_s = overlap_seconds(rotation.overlap)
    written = await service.store.rotate(ref, overlap_s, author_of(request), version)
    service.wake()
    view = object_view(written.stored) | {"key": written.new_key}
    return reply(view, ETag=written.stored.etag)


def keys_router() -> Router:
    return Router(path=PREFIX, route_handlers=[rotate_key], opt=dict(needs(Permission.WRITE)))
