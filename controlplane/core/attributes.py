"""The attributes of a call: whom a client names in headers, or whom its key pins."""

from typing import Annotated

from pydantic import StringConstraints

ATTRIBUTES = {"team": "x-team-id", "rolegroup": "x-llm-rolegroup", "role": "x-role", "user": "x-user-id"}
"""From the widest to the narrowest, with the headers that name them."""

Claim = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}$")]
"""One team, rolegroup, role or user."""
