"""A queue with everything that is known of it."""

from typing import Any

from cli.rendering import table
from cli.service import Service, path_of

Value = dict[str, Any]  # Any: what the REST API shows


def description(service: Service, ref: str) -> Value:
    """The queue, how its limits are enforced, and how its objects stand on each gateway."""
    queue = service.get(path_of("queues", ref))
    return {
        "queue": queue,
        "enforcement": service.get(path_of("queues", ref, "enforcement"))["items"],
        "addresses": _addresses(queue, service.items("gateways")),
        "objects": service.get(path_of("queues", ref, "objects"))["items"],
    }


def _addresses(queue: Value, gateways: list[Value]) -> list[Value]:
    """How the queue is called, on each enabled gateway that serves it and says where its traffic goes."""
    name, selected = queue["name"], (queue.get("gateways") or {}).items()
    return [
        {"gateway": gateway["name"], "for": use, "address": gateway["traffic_url"].rstrip("/") + path}
        for gateway in gateways
        if gateway.get("enabled", True) and gateway.get("traffic_url")
        if selected <= (gateway.get("labels") or {}).items()
        for use, path in (
            ("base URL of an OpenAI SDK", f"/queues/{name}/v1"),
            ("base URL of an Anthropic SDK", f"/queues/{name}"),
            ("POST", f"/v1/chat/completions/queue/{name}"),
            (f'POST with "model": "{name}"', "/v1/chat/completions"),
        )
    ]


def described(value: Value) -> str:
    """The description as a page of text."""
    queue = value["queue"]
    facts = {
        "id": queue["id"],
        "source": queue["source"],
        "revision": str(queue["version"]),
        "access": queue.get("access", "keys"),
        "balancer": queue.get("balancer", "roundrobin"),
        "fallback": ", ".join(queue.get("fallback") or ()) or "none",
        "tenant": queue.get("tenant") or "none",
        "gateways": ", ".join(f"{name}={value}" for name, value in (queue.get("gateways") or {}).items())
        or "every one",
    }
    parts = ["\n".join([f"queue {queue['name']}", *(f"  {name:<9} {text}" for name, text in facts.items())])]
    parts.append("members\n" + indented(_members(queue)))
    parts.append("limits\n" + indented(limits_of(value)))
    rows = [[item["gateway"], item["for"], item["address"]] for item in value["addresses"]]
    if rows:
        parts.append("addresses\n" + indented(table(["GATEWAY", "FOR", "ADDRESS"], rows)))
    parts.append("gateway objects\n" + indented(objects_of(value)))
    return "\n\n".join(parts)


def _members(queue: Value) -> str:
    rows = [
        [
            member["name"],
            member["provider"],
            member.get("model") or "the client's",
            str(member.get("priority", 0)),
            str(member.get("weight", 1)),
        ]
        for member in queue["members"]
    ]
    return table(["NAME", "PROVIDER", "MODEL", "PRIORITY", "WEIGHT"], rows)


def limits_of(value: Value) -> str:
    if not value["enforcement"]:
        return "none"
    rows = [
        [
            item["limit"],
            item["path"],
            item["mechanism"],
            item["object"],
            item["exactness"],
            item["worst_overshoot"],
        ]
        for item in value["enforcement"]
    ]
    return table(["LIMIT", "DECLARED AT", "ENFORCED BY", "ON", "EXACTNESS", "WORST OVERSHOOT"], rows)


def objects_of(value: Value) -> str:
    if not value["objects"]:
        return "none yet"
    rows = [
        [item["gateway"], f"{item['kind']}/{item['id']}", item["state"], item.get("error") or ""]
        for item in value["objects"]
    ]
    return table(["GATEWAY", "OBJECT", "STATE", "ERROR"], rows)


def indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
