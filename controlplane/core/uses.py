"""How a gateway tells when keys were used: one `http-logger` on the services that all our routes share."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from controlplane.core.objects import Json
from controlplane.core.secrets import SecretRef

USES = "uses"
"""The last part of the name under which it is known what a gateway proves itself with."""

_TIMEOUT_S = 5
_LONGEST_S = 5
_QUIET_S = 2
_MOST = 500
_TOLD_AGAIN = 2
_KEYS = "^key-"
USE: Mapping[str, str] = {"consumer": "$consumer_name", "at": "$msec"}
"""What a gateway says of a use, in its own variables."""


@dataclass(frozen=True, slots=True)
class UsesAddress:
    """Where one gateway tells when keys were used, and the handle of what it proves itself with."""

    url: str
    token: SecretRef

    @classmethod
    def of(cls, service: str, gateway: UUID, fingerprint: str) -> "UsesAddress":
        """The address of a gateway that reaches the service at `service`."""
        url = f"{service.rstrip('/')}/internal/gateways/{gateway}/uses"
        return cls(url, SecretRef(f"gateway/{gateway}/{USES}", fingerprint))


def uses_logger(address: UsesAddress) -> dict[str, Json]:
    """What the gateway's http-logger is told: who called and when, and nothing else of a call."""
    return {
        # A call that no key was let in with is nobody's use.
        "_meta": {"filter": [["consumer_name", "~~", _KEYS]]},
        "uri": address.url,
        "auth_header": address.token.with_prefix("Bearer "),
        "ssl_verify": True,
        "timeout": _TIMEOUT_S,
        "batch_max_size": _MOST,
        "buffer_duration": _LONGEST_S,
        "inactive_timeout": _QUIET_S,
        "max_retry_count": _TOLD_AGAIN,
        "retry_delay": 1,
        "log_format": dict(USE),
    }
