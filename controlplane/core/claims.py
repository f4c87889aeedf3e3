"""Who a call is from: the team, role and user that a client names in headers, or that its key pins."""

from typing import Annotated

from pydantic import StringConstraints

from controlplane.core.declared import Declared

ATTRIBUTES = {"team": "x-team-id", "rolegroup": "x-llm-rolegroup", "role": "x-role", "user": "x-user-id"}
"""The attributes of a call, from the widest to the narrowest, and the headers that name them."""

Claim = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}$")]


class Claims(Declared):
    """Attributes that a key pins for its calls."""

    team: Claim | None = None
    rolegroup: Claim | None = None
    role: Claim | None = None
    user: Claim | None = None

    def of(self, attribute: str) -> str | None:
        """The pinned value of an attribute, or None where the client's header is believed."""
        value: str | None = getattr(self, attribute)
        return value
