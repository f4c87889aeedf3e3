"""What a request must look like before a queue takes it, and the gateway plugins that see to it."""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from controlplane.core.checked import Checked, check
from controlplane.core.declared import Declared
from controlplane.core.objects import Json
from controlplane.core.text import HeaderName, ModelName, Text, printable_lines
from controlplane.core.wrong_field import WrongField

LARGEST_BODY = 64 * 1024 * 1024
"""What a gateway reads into memory at most."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}; correct it") from None
    return text


def _network(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be an address such as 10.1.2.3 or a network such as 10.0.0.0/8") from None
    return str(network) if "/" in text else str(network.network_address)


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"https?://[A-Za-z0-9.-]{1,253}(:\d{1,5})?", text):
        raise ValueError("must be * or an origin such as https://app.example")
    return text


Pattern = Annotated[Text, Field(min_length=1), AfterValidator(_pattern)]
Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]
Origin = Annotated[str, Field(max_length=300), AfterValidator(_origin)]
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=16_384), AfterValidator(printable_lines)]


class Cors(Declared, Checked):
    """Which pages of browsers may call."""

    origins: Annotated[tuple[Origin, ...], Field(min_length=1, max_length=64)]
    headers: Annotated[tuple[HeaderName, ...], Field(max_length=64)] = ()
    """What a page may send beside the headers that every page may; any without one."""
    credentials: Annotated[bool, Field(strict=True)] = False
    max_age_s: Annotated[int, Field(ge=0, le=86_400, strict=True)] = 600

    @check
    def _every_origin(self) -> Iterator[WrongField]:
        if "*" in self.origins and len(self.origins) > 1:
            yield WrongField("origins", "`*` allows every origin; remove the others, or the `*`")

    @check
    def _with_credentials(self) -> Iterator[WrongField]:
        if self.credentials and ("*" in self.origins or not self.headers):
            message = "`credentials` needs the `origins` and `headers` by name; write them out"
            yield WrongField("credentials", message)


class Guards(Declared, Checked):
    """What a request must look like before it reaches a member."""

    required_headers: Annotated[tuple[HeaderName, ...], Field(max_length=32)] = ()
    deny_patterns: Annotated[tuple[Pattern, ...], Field(max_length=64)] = ()
    """Regular expressions that nothing said in the conversation may match."""
    allow_patterns: Annotated[tuple[Pattern, ...], Field(max_length=64)] = ()
    """Regular expressions of which the conversation must match at least one."""
    system_prompt: Prompt | None = None
    """Said to the model before everything else."""
    max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000, strict=True)] | None = None
    models: Annotated[tuple[ModelName, ...], Field(max_length=256)] = ()
    """The models that a client may ask for, beside the queue's own name; any without one."""
    max_body_bytes: Annotated[int, Field(ge=1, le=LARGEST_BODY, strict=True)] | None = None
    allow_ips: Annotated[tuple[Network, ...], Field(max_length=256)] = ()
    """Addresses and networks that may call; all others may not."""
    deny_ips: Annotated[tuple[Network, ...], Field(max_length=256)] = ()
    """Addresses and networks that may not call."""
    cors: Cors | None = None
    """For pages of browsers that call the queue's own addresses."""

    @check
    def _addresses(self) -> Iterator[WrongField]:
        if self.allow_ips and self.deny_ips:
            message = "a gateway takes either `allow_ips` or `deny_ips`; remove one of the two"
            yield WrongField("deny_ips", message)

    @property
    def body_limit(self) -> dict[str, Json]:
        """The largest body, as every plugin that reads one is told."""
        return {} if self.max_body_bytes is None else {"max_req_body_size": self.max_body_bytes}


def guard_plugins(guards: Guards, queue: str) -> dict[str, Json]:
    """The plugins that hold a queue's guards, by name."""
    found: dict[str, Json] = {}
    if guards.cors is not None:
        found["cors"] = _cors(guards.cors)
    if guards.allow_ips:
        found["ip-restriction"] = {"whitelist": list(guards.allow_ips)}
    elif guards.deny_ips:
        found["ip-restriction"] = {"blacklist": list(guards.deny_ips)}
    if guards.required_headers or guards.models:
        found["request-validation"] = _validation(guards, queue)
    if guards.deny_patterns or guards.allow_patterns:
        found["ai-prompt-guard"] = {
            # What a model reads is the whole conversation, so that is what is looked at.
            "match_all_roles": True,
            "match_all_conversation_history": True,
            "deny_patterns": list(guards.deny_patterns),
            "allow_patterns": list(guards.allow_patterns),
            "fail_mode": "error",
            **guards.body_limit,
        }
    if guards.system_prompt is not None:
        prompt = {"role": "system", "content": guards.system_prompt}
        found["ai-prompt-decorator"] = {"prepend": [prompt], **guards.body_limit}
    return found


def _cors(cors: Cors) -> dict[str, Json]:
    return {
        "allow_origins": ",".join(cors.origins),
        "allow_methods": "POST,OPTIONS",
        "allow_headers": ",".join(cors.headers) or "*",
        "allow_credential": cors.credentials,
        "max_age": cors.max_age_s,
    }


def _validation(guards: Guards, queue: str) -> dict[str, Json]:
    made: dict[str, Json] = dict(guards.body_limit)
    if guards.required_headers:
        made["header_schema"] = {"type": "object", "required": list(guards.required_headers)}
    if guards.models:
        known = list(dict.fromkeys((queue, *guards.models)))
        made["body_schema"] = {"type": "object", "properties": {"model": {"enum": known}}}
    return made
