"""Declarations with limits above queues, and what is to be read in the objects that they come to."""

from typing import Any

from controlplane.core.compiled import Compiled
from controlplane.core.gateways import GatewaySpec
from controlplane.core.objects import Kind, ObjectKey
from controlplane.core.placing import unenforceable
from controlplane.core.platform import Platform
from tests.fixtures.specs import desired, document, queue

# Any: declarations, and bodies of gateway objects.

HOUR = {"tokens": 100, "per": "1h"}


def tenanted(*limits: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A tenant with these limits, and a queue of it."""
    values = {"tenants": [{"name": "acme", "limits": list(limits)}], "queues": [queue(tenant="acme")]}
    return document(**values | parts)


def set_headers(result: Compiled, policy: str = "q.support") -> dict[str, str]:
    wanted = ObjectKey(Kind.PLUGIN_CONFIG, policy)
    (body,) = [item.body for item in result.objects if item.key == wanted]
    found: dict[str, str] = body["plugins"]["proxy-rewrite"]["headers"]["set"]
    return found


def key_function(result: Compiled, name: str = "web") -> dict[str, Any] | None:
    (body,) = [i.body for i in result.objects if i.key.kind is Kind.CONSUMER and i.body["desc"] == name]
    found: dict[str, Any] | None = body.get("plugins", {}).get("serverless-pre-function")
    return found


def refused(values: dict[str, Any]) -> dict[str, str]:
    return {item.field: f"{item.message}: {item.remedy}" for item in unenforceable(desired(values))}


def platform(**parts: Any) -> Platform:
    values = {"name": "edge", "admin_url": "http://127.0.0.1:9180", **parts}
    return GatewaySpec.model_validate(values).platform


def choices_of(result: Compiled, policy: str = "q.support") -> list[dict[str, Any]]:
    wanted = ObjectKey(Kind.PLUGIN_CONFIG, policy)
    (body,) = [item.body for item in result.objects if item.key == wanted]
    found: list[dict[str, Any]] = body["plugins"].get("serverless-pre-function", {}).get("choices", [])
    return found


def everything(*limits: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "everything", "limits": list(limits)}]
