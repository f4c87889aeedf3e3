"""The providers that APISIX knows: where they are, which protocols they speak and on which paths."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

OUTPUT_FIELDS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""In which a request may say how long its answer may be."""


@dataclass(frozen=True, slots=True)
class Capability:
    """A protocol that a provider speaks: the path, and the field that caps the output."""

    path: str
    cap_field: str | None = None
    replaces_max_tokens: bool = False

    def cap_output(self, body: Json, options: Mapping[str, Any]) -> bool:
        """Force the output cap; True if the body was changed."""
        most = options.get("max_tokens")
        if most is None or self.cap_field is None:
            return bool(options)
        body[self.cap_field] = most
        if self.replaces_max_tokens:
            body.pop("max_tokens", None)
        return True


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider type. `host` is None where it depends on the member's configuration."""

    name: str
    host: str | None
    capabilities: Mapping[str, Capability] = field(default_factory=dict)
    drops_model: bool = False


_CHAT = Capability("/v1/chat/completions", "max_tokens")
_OPENAI = {
    "openai-chat": Capability("/v1/chat/completions", "max_completion_tokens", replaces_max_tokens=True),
    "openai-responses": Capability("/v1/responses", "max_output_tokens"),
    "openai-embeddings": Capability("/v1/embeddings"),
}

_ALL = (
    Provider("openai", "api.openai.com", _OPENAI),
    Provider("openai-compatible", None, {**_OPENAI, "openai-chat": _CHAT}),
    Provider(
        "anthropic",
        "api.anthropic.com",
        {"openai-chat": _CHAT, "anthropic-messages": Capability("/v1/messages", "max_tokens")},
    ),
    Provider("deepseek", "api.deepseek.com", {"openai-chat": Capability("/chat/completions", "max_tokens")}),
    Provider("aimlapi", "api.aimlapi.com", {"openai-chat": Capability("/chat/completions", "max_tokens")}),
    Provider(
        "azure-openai", None, {"openai-chat": Capability("/completions", "max_tokens")}, drops_model=True
    ),
    Provider(
        "openrouter", "openrouter.ai", {"openai-chat": Capability("/api/v1/chat/completions", "max_tokens")}
    ),
    Provider(
        "gemini",
        "generativelanguage.googleapis.com",
        {"openai-chat": Capability("/v1beta/openai/chat/completions", "max_completion_tokens")},
    ),
    Provider(
        "vertex-ai",
        None,
        {
            "openai-chat": Capability(
                "/v1beta1/projects/{project_id}/locations/{region}/endpoints/openapi/chat/completions",
                "max_completion_tokens",
            )
        },
    ),
)
PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in _ALL}
