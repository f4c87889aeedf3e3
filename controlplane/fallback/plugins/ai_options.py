"""What ai-proxy and ai-proxy-multi have in common in their configuration."""

from typing import Any

from controlplane.fallback.llm.detection import PROTOCOLS

Schema = dict[str, Any]

PROVIDER_NAMES = [
    *("openai", "deepseek", "aimlapi", "anthropic", "openai-compatible"),
    *("azure-openai", "openrouter", "gemini", "vertex-ai", "bedrock"),
]
_TEXTS: Schema = {"type": "object", "patternProperties": {"^[a-zA-Z0-9._-]+$": {"type": "string"}}}
AUTH: Schema = {
    "type": "object",
    "patternProperties": {
        "header": _TEXTS,
        "query": _TEXTS,
        "gcp": {
            "type": "object",
            "properties": {
                "service_account_json": {"type": "string"},
                "max_ttl": {"type": "integer", "minimum": 1},
                "expire_early_secs": {"type": "integer", "minimum": 0, "default": 60},
            },
        },
        "aws": {
            "type": "object",
            "properties": {
                "access_key_id": {"type": "string", "minLength": 1},
                "secret_access_key": {"type": "string", "minLength": 1},
                "session_token": {"type": "string", "minLength": 1},
            },
            "required": ["access_key_id", "secret_access_key"],
        },
    },
    "additionalProperties": False,
}
OPTIONS: Schema = {
    "type": "object",
    "properties": {"model": {"type": "string"}},
    "additionalProperties": True,
}
PROVIDER_CONF: Schema = {
    "type": "object",
    "properties": {"project_id": {"type": "string"}, "region": {"type": "string", "minLength": 1}},
}
_PATCH: Schema = {"type": "object", "additionalProperties": True}
OVERRIDE: Schema = {
    "type": "object",
    "properties": {
        "endpoint": {"type": "string", "minLength": 1},
        "llm_options": {
            "type": "object",
            "properties": {"max_tokens": {"type": "integer", "minimum": 1}},
            "additionalProperties": False,
        },
        "request_body": {
            "type": "object",
            "properties": {
                **{protocol.name: _PATCH for protocol in PROTOCOLS},
                "bedrock-converse": _PATCH,
            },
            "additionalProperties": False,
        },
        "request_body_force_override": {"type": "boolean", "default": False},
    },
}
LOGGING: Schema = {
    "type": "object",
    "properties": {
        "summaries": {"type": "boolean", "default": False},
        "payloads": {"type": "boolean", "default": False},
    },
}
TRANSPORT: Schema = {
    "logging": LOGGING,
    "timeout": {"type": "integer", "minimum": 1, "maximum": 600000, "default": 30000},
    "max_req_body_size": {"type": "integer", "minimum": 1, "default": 67108864},
    "max_stream_duration_ms": {"type": "integer", "minimum": 1},
    "max_response_bytes": {"type": "integer", "minimum": 1},
    "keepalive": {"type": "boolean", "default": True},
    "keepalive_timeout": {"type": "integer", "minimum": 1000, "default": 60000},
    "keepalive_pool": {"type": "integer", "minimum": 1, "default": 30},
    "streaming_flush_interval_ms": {"type": "integer", "minimum": 0, "default": 10},
    "ssl_verify": {"type": "boolean", "default": True},
}
AUTH_SECRETS = (
    "auth.header",
    "auth.query",
    "auth.gcp.service_account_json",
    "auth.aws.secret_access_key",
    "auth.aws.session_token",
)
