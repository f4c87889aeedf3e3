"""The addresses that only keys have, in the OpenAPI document."""

from controlplane.api.openapi_parts import CHANGE, ETAG, body, if_match, operation, parameter
from controlplane.api.openapi_schemas import Part, ref, view_name
from controlplane.api.resources import PREFIX
from controlplane.store.records import Kind


def key_paths() -> Part:
    rotation = body(ref("Rotation"), {"overlap": "24h"}) | {"required": False}
    name = parameter("ref", "path", {"type": "string", "minLength": 1}, "the key's name or UUID")
    return {
        f"{PREFIX}/keys/{{ref}}/rotate": {
            "parameters": [name],
            "post": operation(
                "rotate a key",
                Kind.KEY,
                ref(view_name(Kind.KEY)),
                CHANGE,
                body=rotation,
                parameters=[if_match()],
                headers=ETAG,
                description="Makes up another text, which is shown this once. The one before goes on working "
                "for `overlap`; 0 ends it, and all that were before it, at once.",
            ),
        }
    }
