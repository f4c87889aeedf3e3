"""The schemas of the objects themselves: routes, services, consumers and the rest."""

from typing import Any

from controlplane.fallback.schema.fields import (
    DESC,
    HOST,
    ID,
    LABELS,
    METHOD,
    NAME,
    PLUGINS,
    REMOTE_ADDR,
    SCRIPT,
    TIMEOUT,
    TIMESTAMP,
    URI,
)
from controlplane.fallback.schema.health_checks import ACTIVE_CHECK, PASSIVE_CHECK

_NODES = {
    "anyOf": [
        {"type": "object", "patternProperties": {".*": {"type": "integer", "minimum": 0}}},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "host": HOST,
                    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                    "weight": {"type": "integer", "minimum": 0},
                    "priority": {"type": "integer", "default": 0},
                    "metadata": {"type": "object"},
                },
                "required": ["host", "weight"],
            },
        },
    ]
}


def _described(**properties: Any) -> dict[str, Any]:
    """Properties of an object that has a name, a description and labels."""
    return {
        "id": ID,
        "name": NAME,
        "desc": DESC,
        "labels": LABELS,
        "create_time": TIMESTAMP,
        "update_time": TIMESTAMP,
        **properties,
    }


UPSTREAM: dict[str, Any] = {
    "type": "object",
    "properties": _described(
        nodes=_NODES,
        retries={"type": "integer", "minimum": 0},
        retry_timeout={"type": "number", "minimum": 0},
        timeout=TIMEOUT,
        tls={
            "type": "object",
            "properties": {
                "client_cert_id": ID,
                "client_cert": {"type": "string", "minLength": 128, "maxLength": 64 * 1024},
                "client_key": {"type": "string", "minLength": 64, "maxLength": 64 * 1024},
                "verify": {"type": "boolean", "default": False},
            },
            "dependencies": {
                "client_cert": {"required": ["client_key"]},
                "client_key": {"required": ["client_cert"]},
                "client_cert_id": {"not": {"required": ["client_cert", "client_key"]}},
            },
        },
        keepalive_pool={
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 1, "default": 320},
                "idle_timeout": {"type": "number", "minimum": 0, "default": 60},
                "requests": {"type": "integer", "minimum": 1, "default": 1000},
            },
        },
        type={"type": "string", "default": "roundrobin"},
        checks={
            "type": "object",
            "properties": {"active": ACTIVE_CHECK, "passive": PASSIVE_CHECK},
            "anyOf": [{"required": ["active"]}, {"required": ["active", "passive"]}],
        },
        hash_on={
            "type": "string",
            "enum": ["vars", "header", "cookie", "consumer", "vars_combinations"],
            "default": "vars",
        },
        key={"type": "string"},
        scheme={
            "enum": ["grpc", "grpcs", "http", "https", "tcp", "tls", "udp", "kafka"],
            "default": "http",
        },
        discovery_type={"type": "string"},
        discovery_args={
            "type": "object",
            "properties": {"namespace_id": {"type": "string"}, "group_name": {"type": "string"}},
        },
        pass_host={"type": "string", "enum": ["pass", "node", "rewrite"], "default": "pass"},
        upstream_host=HOST,
        service_name=NAME,
    ),
    "oneOf": [{"required": ["nodes"]}, {"required": ["service_name", "discovery_type"]}],
    "additionalProperties": False,
}


def _at_most_one_of(one: str, many: str) -> dict[str, Any]:
    neither = {"not": {"anyOf": [{"required": [one]}, {"required": [many]}]}}
    return {"oneOf": [neither, {"required": [one]}, {"required": [many]}]}


_TARGETS = ["plugins", "upstream", "upstream_id", "service_id"]

ROUTE: dict[str, Any] = {
    "type": "object",
    "properties": _described(
        uri={"type": "string", "minLength": 1, "maxLength": 4096},
        uris={"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        priority={"type": "integer", "default": 0},
        methods={"type": "array", "items": METHOD, "uniqueItems": True},
        host=HOST,
        hosts={"type": "array", "items": HOST, "minItems": 1, "uniqueItems": True},
        remote_addr=REMOTE_ADDR,
        remote_addrs={"type": "array", "items": REMOTE_ADDR, "minItems": 1, "uniqueItems": True},
        timeout=TIMEOUT,
        vars={"type": "array"},
        plugins=PLUGINS,
        plugin_config_id=ID,
        upstream=UPSTREAM,
        service_id=ID,
        upstream_id=ID,
        filter_func={"type": "string", "minLength": 10, "pattern": "^function"},
        script=SCRIPT,
        script_id=ID,
        enable_websocket={"type": "boolean"},
        status={"type": "integer", "enum": [1, 0], "default": 1},
    ),
    "allOf": [
        {"oneOf": [{"required": ["uri"]}, {"required": ["uris"]}]},
        _at_most_one_of("host", "hosts"),
        _at_most_one_of("remote_addr", "remote_addrs"),
    ],
    "anyOf": [
        *({"required": [target, address]} for address in ("uri", "uris") for target in _TARGETS),
        {"required": ["script", "uri"]},
        {"required": ["script", "uris"]},
    ],
    "not": {"anyOf": [{"required": ["script", "plugins"]}, {"required": ["script", "plugin_config_id"]}]},
    "additionalProperties": False,
}

SERVICE: dict[str, Any] = {
    "type": "object",
    "properties": _described(
        plugins=PLUGINS,
        upstream=UPSTREAM,
        upstream_id=ID,
        script=SCRIPT,
        enable_websocket={"type": "boolean"},
        hosts={"type": "array", "items": HOST, "minItems": 1, "uniqueItems": True},
    ),
    "additionalProperties": False,
}

CONSUMER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": ID,
        "username": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[a-zA-Z0-9_\-]+$"},
        "desc": DESC,
        "labels": LABELS,
        "create_time": TIMESTAMP,
        "update_time": TIMESTAMP,
        "group_id": ID,
        "plugins": PLUGINS,
    },
    "required": ["username"],
    "additionalProperties": False,
}

CREDENTIAL: dict[str, Any] = {
    "type": "object",
    "properties": _described(
        id={
            "oneOf": [
                ID,
                {
                    "type": "string",
                    "minLength": 15,
                    "maxLength": 128,
                    "pattern": "^[a-zA-Z0-9-_]+/credentials/[a-zA-Z0-9-_.]+$",
                },
            ]
        },
        plugins={"type": "object", "maxProperties": 1},
    ),
    "additionalProperties": False,
}

CONSUMER_GROUP: dict[str, Any] = {
    "type": "object",
    "properties": _described(plugins=PLUGINS),
    "required": ["id", "plugins"],
    "additionalProperties": False,
}

PLUGIN_CONFIG: dict[str, Any] = {
    "type": "object",
    "properties": _described(name={"type": "string"}, plugins=PLUGINS),
    "required": ["id", "plugins"],
    "additionalProperties": False,
}

GLOBAL_RULE: dict[str, Any] = {
    "type": "object",
    "properties": {"id": ID, "create_time": TIMESTAMP, "update_time": TIMESTAMP, "plugins": PLUGINS},
    "required": ["id", "plugins"],
    "additionalProperties": False,
}

SECRETS: dict[str, dict[str, Any]] = {
    "vault": {
        "type": "object",
        "properties": {
            "uri": URI,
            "prefix": {"type": "string"},
            "token": {"type": "string"},
            "namespace": {"type": "string"},
        },
        "required": ["uri", "prefix", "token"],
    },
    "aws": {
        "type": "object",
        "properties": {
            "access_key_id": {"type": "string"},
            "secret_access_key": {"type": "string"},
            "session_token": {"type": "string"},
            "region": {"type": "string", "default": "us-east-1"},
            "endpoint_url": URI,
        },
        "required": ["access_key_id", "secret_access_key"],
    },
    "gcp": {
        "type": "object",
        "properties": {
            "auth_config": {
                "type": "object",
                "properties": {
                    "client_email": {"type": "string"},
                    "private_key": {"type": "string"},
                    "project_id": {"type": "string"},
                    "token_uri": {"type": "string", "default": "https://oauth2.googleapis.com/token"},
                    "scope": {
                        "type": "array",
                        "items": {"type": "string"},
                        "default": ["https://www.googleapis.com/auth/cloud-platform"],
                    },
                    "entries_uri": {
                        "type": "string",
                        "default": "https://secretmanager.googleapis.com/v1",
                    },
                },
                "required": ["client_email", "private_key", "project_id"],
            },
            "ssl_verify": {"type": "boolean", "default": True},
            "auth_file": {"type": "string"},
        },
        "oneOf": [{"required": ["auth_config"]}, {"required": ["auth_file"]}],
    },
}
