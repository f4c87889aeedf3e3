"""How gateways ask external validators, and tell them of finished calls: all those of a rule through us."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from controlplane.core.chain import ExternalValidator, Fail
from controlplane.core.forwarding import Forwarding
from controlplane.core.objects import Json
from controlplane.core.secrets import SecretRef
from controlplane.core.uses import USE
from controlplane.errors import Problem

VALIDATION_HEADER = "X-Sluice-Validation"
"""What a gateway proves with that it is a gateway."""
VALIDATION = "validation"
"""The last part of the name under which that is known."""
LARGEST_BODY = 1024 * 1024
"""What validators are told of at most."""

_AFTER_COUNTING = 900
"""Behind everything that counts calls on a gateway, where external validators stand before it otherwise."""
_MARGIN_MS = 1000
_LONGEST_MS = 59_000
_TELLING_S = 5
"""The service answers before it tells anybody."""
_TOLD_AGAIN = 2
FINISHED_CALL = {
    "method": "$request_method",
    "host": "$host",
    "uri": "$request_uri",
    "client_ip": "$remote_addr",
    "request_id": "$http_x_request_id",
    "status": "$status",
    "latency_s": "$request_time",
    **USE,
}
"""What a gateway says of a finished call, in its own variables: neither bodies nor credentials. Whose key it
was is for us: this logger stands in the place of the one that tells of uses.
"""


@dataclass(frozen=True, slots=True)
class ValidationAddress:
    """Where gateways reach the service, and the handle of what they prove themselves with, by rule."""

    url: str
    token: Callable[[UUID], SecretRef]

    def finished(self, rule: UUID) -> str:
        """Where a gateway tells of the finished calls of a rule."""
        return f"{self.url.rstrip('/')}/internal/rules/{rule}/finished"

    def of_rule(self, rule: UUID, fail: Fail) -> str:
        """The address of a rule; it says itself what becomes of calls where the rule cannot be read."""
        return f"{self.url.rstrip('/')}/internal/rules/{rule}/validate?fail={fail}"


def forward_auth(forwarding: Forwarding, address: ValidationAddress) -> dict[str, Json]:
    """What the gateway's forward-auth is told about a rule that has external validators."""
    every = [one.settings for group in forwarding.validators for one in group]
    rule = forwarding.rule.id
    headers = sorted({name for settings in every for name in settings.headers})
    fail = Fail.OPEN if all(settings.fail is Fail.OPEN for settings in every) else Fail.CLOSED
    with_body = any(settings.send_body for settings in every)
    return {
        "uri": address.of_rule(rule, fail),
        "request_method": "POST" if with_body else "GET",
        "request_headers": [*headers, "content-type"] if with_body else headers,
        "extra_headers": {VALIDATION_HEADER: address.token(rule)},
        "client_headers": ["Content-Type", "Retry-After"],
        "max_req_body_size": LARGEST_BODY,
        "timeout": longest_ms(forwarding.validators) + _MARGIN_MS,
        "status_on_error": 503,
        "allow_degradation": fail is Fail.OPEN,
        **({} if forwarding.asks_before_counting else {"_meta": {"priority": _AFTER_COUNTING}}),
    }


def http_logger(forwarding: Forwarding, address: ValidationAddress) -> dict[str, Json]:
    """What the gateway's http-logger is told about a rule whose finished calls somebody wants to hear of."""
    rule = forwarding.rule.id
    headers = sorted({name for group in forwarding.told for one in group for name in one.settings.headers})
    values = {name: f"$http_{name.replace('-', '_')}" for name in headers}
    return {
        "uri": address.finished(rule),
        "auth_header": address.token(rule).with_prefix("Bearer "),
        "ssl_verify": True,
        "timeout": _TELLING_S,
        "batch_max_size": 1,
        "max_retry_count": _TOLD_AGAIN,
        "retry_delay": 1,
        "log_format": {**FINISHED_CALL, **({"headers": values} if values else {})},
    }


def validation_problems(forwarding: Forwarding, address: ValidationAddress | None) -> Iterator[Problem]:
    """What stands against asking; fields are named from the rule's top."""
    if not forwarding.validators and not forwarding.told:
        return
    if address is None:
        message = "gateways do not know where to ask for external validators"
        yield Problem("plugins", message, "set SLUICE_VALIDATION_URL to where they reach the service")
    if longest_ms(forwarding.validators) > _LONGEST_MS:
        message = f"external validators may take {longest_ms(forwarding.validators)} ms together"
        yield Problem("plugins", message, f"keep that under {_LONGEST_MS}, or let them run in parallel")


def longest_ms(groups: Sequence[Sequence[ExternalValidator]]) -> int:
    """How long it takes at most: one group after the other, those of a group at the same time."""
    return sum(max(one.settings.timeout_ms for one in group) for group in groups)
