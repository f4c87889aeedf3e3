"""A forwarding rule with everything that is known of it."""

from typing import Any

from cli.description import indented, limits_of, objects_of
from cli.rendering import table
from cli.service import Service, path_of

Value = dict[str, Any]  # Any: what the REST API shows


def description(service: Service, ref: str) -> Value:
    """The rule, what its tenant requires, how its limits are enforced, and how its objects stand."""
    rule = service.get(path_of("rules", ref))
    tenant = service.get(path_of("tenants", rule["tenant"])) if rule.get("tenant") else {}
    return {
        "rule": rule,
        "required_plugins": tenant.get("required_plugins") or [],
        "enforcement": service.get(path_of("rules", ref, "enforcement"))["items"],
        "objects": service.get(path_of("rules", ref, "objects"))["items"],
    }


def described(value: Value) -> str:
    """The description as a page of text."""
    rule = value["rule"]
    below = "/*" if rule["match"] == "prefix" and rule["path"] != "/" else ""
    facts = {
        "id": rule["id"],
        "source": rule["source"],
        "revision": str(rule["version"]),
        "tenant": rule.get("tenant") or "none",
        "access": rule["access"],
        "path": rule["path"] + below,
        "hosts": ", ".join(rule["hosts"]) or "its tenant's, or every host",
        "methods": ", ".join(rule["methods"]) or "all",
        "target": rule["target"] + (", without the rule's own path" if rule["strip_path"] else ""),
        "retries": str(rule["retries"]),
        "enabled": "yes" if rule["enabled"] else "no",
    }
    parts = ["\n".join([f"rule {rule['name']}", *(f"  {name:<9} {text}" for name, text in facts.items())])]
    parts.append("limits\n" + indented(limits_of(value)))
    parts.append("plugins\n" + indented(_plugins(value)))
    parts.append("gateway objects\n" + indented(objects_of(value)))
    return "\n\n".join(parts)


def _plugins(value: Value) -> str:
    rows = [
        [
            plugin["name"],
            plugin["stage"],
            str(plugin["priority"]),
            by,
            "yes" if plugin["enabled"] else "no",
        ]
        for by, plugins in (("its tenant", value["required_plugins"]), ("itself", value["rule"]["plugins"]))
        for plugin in plugins
    ]
    return table(["NAME", "STAGE", "PRIORITY", "DECLARED BY", "ENABLED"], rows) if rows else "none"
