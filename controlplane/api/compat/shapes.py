"""What older clients send, and what it says in today's grammar."""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from controlplane.core.declared import Declared
from controlplane.core.limits import Amount, Rate
from controlplane.core.text import Name, Text

# Any: plugins and values that today's models check.
Value = dict[str, Any]
PluginName = Literal["rate_limiter", "content_validator", "security_validator", "external_validator"]
_ODD = re.compile(r"[^A-Za-z0-9]+")
_LONGEST_NAME = 48


class OlderTenant(Declared):
    """A tenant with its plugins by name."""

    name: Annotated[Text, Field(min_length=1, max_length=120)]
    subdomain: str | None = None
    tier: Name | None = None
    enabled_plugins: Annotated[tuple[PluginName, ...], Field(max_length=16)] = ()
    """Taken, and not kept: every tenant may use every plugin."""
    required_plugins: Annotated[dict[PluginName, Value], Field(max_length=16)] = Field(default_factory=dict)

    @property
    def declared(self) -> Value:
        """The tenant as it is declared today."""
        plugins = [{"name": name, **plugin} for name, plugin in self.required_plugins.items()]
        values = {"name": slug(self.name), "subdomain": self.subdomain, "tier": self.tier}
        return {**values, "required_plugins": plugins}


class OlderRule(Declared):
    """A forwarding rule with its plugin chain."""

    path: Annotated[Text, Field(min_length=1, max_length=1024)]
    target: Text
    methods: Annotated[tuple[str, ...], Field(max_length=7)] = ()
    strip_path: StrictBool = False
    plugin_chain: Annotated[tuple[Value, ...], Field(max_length=16)] = ()

    def declared(self, tenant: str) -> Value:
        """The rule of a tenant as it is declared today; every key of the tenant opens it."""
        return {
            "name": slug(f"{tenant}-{self.path}"),
            "tenant": tenant,
            "access": "tenant",
            "path": self.path,
            "target": self.target,
            "methods": self.methods,
            "strip_path": self.strip_path,
            "plugins": self.plugin_chain,
        }


class Scope(StrEnum):
    """Whose tokens a budget counts."""

    GLOBAL = "global"
    TEAM = "team"
    ROLEGROUP = "rolegroup"
    ROLE = "role"
    USER = "user"


EACH = "*"


class OlderBudget(Declared):
    """A bucket of tokens."""

    scope: Scope
    id: Annotated[Text, Field(min_length=1, max_length=128)] = EACH
    """`*`: each team, role or user has as much."""
    tenant: Name | None = None
    """Whose teams, roles or users they are."""
    capacity: Amount
    refillPerSec: Rate  # noqa: N815 - the name that older clients send

    @property
    def declared(self) -> Value:
        """The limit: as much, in the time in which the bucket fills up."""
        seconds = max(1, round(self.capacity / self.refillPerSec))
        by = {} if self.scope is Scope.GLOBAL else {"by": self.scope.value}
        return {"tokens": self.capacity, "per": f"{seconds}s", **by}


def slug(text: str) -> str:
    """A name of today, as near to the text as can be."""
    return _ODD.sub("-", text).strip("-").lower()[:_LONGEST_NAME].strip("-") or "unnamed"
