"""Gateway objects as files: requests of the Admin API, or the apisix.yaml of a standalone APISIX."""

import json
from collections.abc import Sequence

from cli.offline import Rendered
from controlplane.core.objects import Kind
from controlplane.gateway import yaml_text

FORMAT_VERSION = 1
_PREFIX = "/apisix/admin/"


def admin_requests(objects: Sequence[Rendered]) -> str:
    """The writes that make a gateway so, in an order in which it takes them."""
    requests = [
        {
            "method": "PUT",
            # A consumer is put to the collection: its name is in the body.
            "path": _PREFIX + (Kind.CONSUMER.value if item.key.kind is Kind.CONSUMER else item.key.path),
            "body": body,
        }
        for item, body in ((each.item, each.body) for each in objects)
    ]
    document = {"format_version": FORMAT_VERSION, "requests": requests}
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def apisix_yaml(objects: Sequence[Rendered]) -> str:
    """The file that a standalone APISIX reads whole."""
    return yaml_text.rendered((each.item.key, each.body) for each in objects)
