"""The plugins of forwarding rules: what looks at a call on its way to a target and back.

A rule has a chain of them, and a tenant may require some for all its rules. They run by stage, then by
priority, the lower first.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StrictBool, field_validator

from controlplane.core.checked import Checked, check
from controlplane.core.declared import Declared, Endpoint
from controlplane.core.guards import LARGEST_BODY, Network, Pattern
from controlplane.core.json_schemas import JsonSchema
from controlplane.core.limits import Amount, By, Limit, Window
from controlplane.core.text import CREDENTIAL_HEADERS, HeaderName, Text
from controlplane.core.wrong_field import WrongField

PLUGINS_EACH = 16
_TOLD = "use `external_validator`, which is told of finished calls, or"
"""What to do about any other plugin that is to run after the answer."""


class Stage(StrEnum):
    """When a plugin runs, in the order in which a call meets them."""

    PRE_REQUEST = "pre_request"
    POST_REQUEST = "post_request"
    PRE_RESPONSE = "pre_response"
    POST_RESPONSE = "post_response"


class Fail(StrEnum):
    """What happens to a call when a validator cannot be asked in time."""

    CLOSED = "closed"
    OPEN = "open"


class PluginBase(Declared):
    """What every plugin says of its place in the chain."""

    stage: Stage = Stage.PRE_REQUEST
    """`pre_request`: before the call is let in; `post_request`: once it is let in, before it is sent on;
    `pre_response`: the target's answer, before the caller has it; `post_response`: after the answer."""
    priority: Annotated[int, Field(ge=0, le=1000, strict=True)] = 100
    """Within a stage, the lower goes first."""
    enabled: StrictBool = True
    parallel: StrictBool = False
    """Plugins of one priority that all say so run at the same time."""


class RateLimiterSettings(Declared):
    """How many requests in which time."""

    limit: Amount
    window: Window
    by: By | None = None
    """One counter for each `key` or `header:NAME`; one for everybody together without it."""


class RateLimiter(PluginBase):
    """Counts requests, and refuses those that are too many."""

    name: Literal["rate_limiter"]
    settings: RateLimiterSettings

    @field_validator("stage")
    @classmethod
    def _counts_in_front(cls, stage: Stage) -> Stage:
        if stage is Stage.PRE_REQUEST:
            return stage
        message = "a rate_limiter counts calls before they are let in"
        raise ValueError(f"{message}; {_instead(stage)} `stage: pre_request`")

    @property
    def as_limit(self) -> Limit:
        return Limit(requests=self.settings.limit, per=self.settings.window, by=self.settings.by)


class ContentValidatorSettings(Declared):
    """What may be in a body."""

    json_schema: JsonSchema | None = None
    """A JSON Schema (draft 7) that the request's body must meet."""
    max_body_bytes: Annotated[int, Field(ge=1, le=LARGEST_BODY, strict=True)] | None = None
    deny_patterns: Annotated[tuple[Pattern, ...], Field(max_length=32)] = ()
    """Regular expressions: what they match in an answer is replaced."""
    replacement: Annotated[Text, Field(max_length=256, pattern=r"^[^$\\]*$")] = "[removed]"
    """What stands for it then, as it is."""


class ContentValidator(PluginBase, Checked):
    """Looks at bodies: a request's in `pre_request`, an answer's in `pre_response`."""

    name: Literal["content_validator"]
    settings: ContentValidatorSettings

    @field_validator("stage")
    @classmethod
    def _looks_at_bodies(cls, stage: Stage) -> Stage:
        if stage in (Stage.PRE_REQUEST, Stage.PRE_RESPONSE):
            return stage
        message = "a content_validator looks at requests or at answers on their way"
        raise ValueError(f"{message}; {_instead(stage)} `stage: pre_request` or `stage: pre_response`")

    @check
    def _has_patterns(self) -> Iterator[WrongField]:
        patterns = self.settings.deny_patterns
        if self.stage is Stage.PRE_RESPONSE and not patterns:
            message = "a content_validator of answers needs `deny_patterns` in its settings; add some"
            yield WrongField("settings.deny_patterns", message)
        if self.stage is not Stage.PRE_RESPONSE and patterns:
            message = (
                "`deny_patterns` are for answers; use `stage: pre_response`, "
                "or a `pattern` in `json_schema` for requests"
            )
            yield WrongField("settings.deny_patterns", message)

    @check
    def _has_work(self) -> Iterator[WrongField]:
        wants = self.settings
        named = [name for name in ("json_schema", "max_body_bytes") if getattr(wants, name) is not None]
        if self.stage is Stage.PRE_RESPONSE and named:
            message = (
                "a gateway sends an answer's status before it has read the body; "
                "remove `json_schema` and `max_body_bytes`, or use `stage: pre_request`"
            )
            yield WrongField(f"settings.{named[0]}", message)
        if self.stage is not Stage.PRE_RESPONSE and not named and not wants.deny_patterns:
            message = "settings check nothing; add `json_schema` or `max_body_bytes`"
            yield WrongField("settings", message)


class SecurityValidatorSettings(Declared, Checked):
    """What a request must look like."""

    required_headers: Annotated[tuple[HeaderName, ...], Field(max_length=32)] = ()
    allow_ips: Annotated[tuple[Network, ...], Field(max_length=256)] = ()
    """Addresses and networks that may call; all others may not."""
    deny_ips: Annotated[tuple[Network, ...], Field(max_length=256)] = ()
    """Addresses and networks that may not call."""
    max_body_bytes: Annotated[int, Field(ge=1, le=LARGEST_BODY, strict=True)] | None = None
    json_schema: JsonSchema | None = None
    """A JSON Schema (draft 7) that the body must meet."""

    @check
    def _has_work(self) -> Iterator[WrongField]:
        fields = SecurityValidatorSettings.model_fields
        if all(getattr(self, name) in (None, ()) for name in fields):
            known = ", ".join(f"`{name}`" for name in fields)
            yield WrongField("", f"settings check nothing; add one of {known}")


class SecurityValidator(PluginBase):
    """Refuses requests by their headers, their sender or their body."""

    name: Literal["security_validator"]
    settings: SecurityValidatorSettings

    @field_validator("stage")
    @classmethod
    def _looks_at_requests(cls, stage: Stage) -> Stage:
        if stage is Stage.PRE_REQUEST:
            return stage
        message = "a security_validator looks at requests on their way in"
        raise ValueError(f"{message}; {_instead(stage)} `stage: pre_request`")


class ExternalValidatorSettings(Declared, Checked):
    """Who is asked, and what about; in `post_response`, who is told."""

    url: Endpoint
    """Asked with POST and a JSON object that tells of the call; 2xx lets it in, 4xx refuses it. In
    `post_response` the answer means nothing."""
    timeout_ms: Annotated[int, Field(ge=10, le=30_000, strict=True)] = 2000
    """How long it may take to answer."""
    fail: Fail = Fail.CLOSED
    """Where it does not answer in time, or with 5xx: `closed` refuses the call, `open` lets it in. In
    `post_response` it means nothing."""
    headers: Annotated[tuple[HeaderName, ...], Field(max_length=32)] = ()
    """The caller's headers that it is told."""
    send_body: StrictBool = False
    """Tell it the request's body, too."""

    @check
    def _no_credentials(self) -> Iterator[WrongField]:
        for index, name in enumerate(self.headers):
            if name in CREDENTIAL_HEADERS:
                message = f"{name} carries a credential, which leaves for nobody; remove it"
                yield WrongField(f"headers[{index}]", message)


class ExternalValidator(PluginBase, Checked):
    """Asks a service of yours over HTTP; in `post_response` it tells it of the finished call."""

    name: Literal["external_validator"]
    settings: ExternalValidatorSettings

    @property
    def is_told(self) -> bool:
        """Whether it hears of calls when they are over, and has no say in them."""
        return self.stage is Stage.POST_RESPONSE

    @field_validator("stage")
    @classmethod
    def _has_a_say_or_is_told(cls, stage: Stage) -> Stage:
        if stage is not Stage.PRE_RESPONSE:
            return stage
        raise ValueError(
            "a gateway asks nobody about an answer; use `stage: pre_request` or `stage: post_request`, "
            "or `stage: post_response` to be told of the finished call"
        )

    @check
    def _told_without_bodies(self) -> Iterator[WrongField]:
        if self.settings.send_body and self.stage is Stage.POST_RESPONSE:
            message = (
                "a gateway tells of finished calls without their bodies; "
                "remove `send_body`, or use `stage: post_request`"
            )
            yield WrongField("settings.send_body", message)


Plugin = Annotated[
    RateLimiter | ContentValidator | SecurityValidator | ExternalValidator, Field(discriminator="name")
]
Plugins = Annotated[tuple[Plugin, ...], Field(max_length=PLUGINS_EACH)]

_STAGES = tuple(Stage)


def _instead(stage: Stage) -> str:
    """How the remedy begins for a plugin that cannot act at a stage."""
    return _TOLD if stage is Stage.POST_RESPONSE else "use"


def in_order(plugins: Sequence[Plugin]) -> list[tuple[int, Plugin]]:
    """The enabled plugins as they run, each with its place in the declaration."""
    found = [(index, plugin) for index, plugin in enumerate(plugins) if plugin.enabled]
    return sorted(found, key=lambda one: (_STAGES.index(one[1].stage), one[1].priority))
