"""What older clients send, and what it says in today's grammar."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from controlplane.core.checked import Checked, check
from controlplane.core.declared import Declared
from controlplane.core.limits import Amount, Rate, Window
from controlplane.core.text import Name, Text
from controlplane.core.wrong_field import WrongField

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


BudgetId = Annotated[
    str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127})$", examples=["data-science"])
]


class Scope(StrEnum):
    """Whose tokens a budget counts."""

    GLOBAL = "global"
    TEAM = "team"
    ROLEGROUP = "rolegroup"
    ROLE = "role"
    USER = "user"


EACH = "*"


class OlderBudget(Declared, Checked):
    """A bucket of tokens, or where a gateway has none, so many in a window."""

    scope: Scope
    id: BudgetId = EACH
    """The one team, rolegroup, role or user; `*`: each of them has as much. Of `global` it means nothing."""
    tenant: Name | None = None
    """Whose teams, roles or users they are; without one, those of every tenant and of nobody."""
    capacity: Amount
    refillPerSec: Rate | None = None  # noqa: N815 - the name that older clients send
    per: Window | None = None
    """A window in place of `refillPerSec`, for gateways that have no buckets."""

    @check
    def _one_pace(self) -> Iterator[WrongField]:
        if (self.refillPerSec is None) == (self.per is None):
            message = "needs `refillPerSec`, or a window in its place (`per`), and not both"
            yield WrongField("refillPerSec", message)

    @check
    def _whose(self) -> Iterator[WrongField]:
        if self.scope is Scope.GLOBAL and self.tenant is not None:
            message = "`scope: global` counts everybody; leave it out, or set the tenant's own limits"
            yield WrongField("tenant", message)

    @property
    def by(self) -> str | None:
        """What divides the tokens."""
        return None if self.scope is Scope.GLOBAL else self.scope.value

    @property
    def value(self) -> str | None:
        """The one whose tokens they are."""
        return None if self.by is None or self.id == EACH else self.id

    @property
    def declared(self) -> Value:
        """The limit as it is declared today."""
        pace = {"refill_per_s": self.refillPerSec, "per": self.per}
        values = {"tokens": self.capacity, **pace, "by": self.by, "value": self.value}
        return {name: value for name, value in values.items() if value is not None}

    def replaces(self, limit: Value) -> bool:
        """Whether it takes the place of a limit: of a bucket or window that counts the same."""
        same = (limit.get("by"), limit.get("value")) == (self.by, self.value)
        if self.per is None:
            return same and limit.get("refill_per_s") is not None
        return same and limit.get("per") is not None and (self.by is not None or limit["per"] == self.per)


def slug(text: str) -> str:
    """A name of today, as near to the text as can be."""
    return _ODD.sub("-", text).strip("-").lower()[:_LONGEST_NAME].strip("-") or "unnamed"
