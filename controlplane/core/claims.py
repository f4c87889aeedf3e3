"""Who a call is from: the team, role and user that a client names in headers, or that its key pins."""

from controlplane.core.attributes import Claim
from controlplane.core.declared import Declared


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
