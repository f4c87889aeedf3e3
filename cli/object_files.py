"""Gateway objects as files: requests of the Admin API, or the apisix.yaml of a standalone APISIX."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from cli.offline import Rendered
from controlplane.core.objects import Kind

FORMAT_VERSION = 1
_PREFIX = "/apisix/admin/"
_VARIABLE = "${{"


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
    """The file that a standalone APISIX reads whole; it takes none without the mark at its end."""
    lists: dict[str, list[Any]] = {}  # Any: the JSON of gateway objects
    for each in objects:
        key = each.item.key
        if key.kind is Kind.CREDENTIAL:
            consumer, _, credential = key.id.partition("/")
            entry = {"id": f"{consumer}/credentials/{credential}", **each.body}
        elif key.kind is Kind.CONSUMER:
            entry = dict(each.body)
        else:
            entry = {"id": key.id, **each.body}
        kind = Kind.CONSUMER if key.kind is Kind.CREDENTIAL else key.kind
        lists.setdefault(kind.value, []).append(entry)
    text = yaml.dump(lists, Dumper=_Dumper, allow_unicode=True, sort_keys=True, width=4096)
    # APISIX puts variables of its environment in before it reads the YAML; what is declared is no variable.
    return text.replace(_VARIABLE, "$\\x7B{") + "#END\n"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as such; no anchors, so that every object stands for itself."""

    def ignore_aliases(self, data: Any) -> bool:  # Any: whatever is dumped
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if _VARIABLE in value else "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
