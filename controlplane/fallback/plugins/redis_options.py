"""The options that say which Redis a limiting plugin counts in."""

from typing import Any

from controlplane.fallback.counters.redis_connection import RedisAddress

Schema = dict[str, Any]

REDIS: Schema = {
    "properties": {
        "redis_host": {"type": "string", "minLength": 2},
        "redis_port": {"type": "integer", "minimum": 1, "default": 6379},
        "redis_username": {"type": "string", "minLength": 1},
        "redis_password": {"type": "string", "minLength": 0},
        "redis_database": {"type": "integer", "minimum": 0, "default": 0},
        "redis_timeout": {"type": "integer", "minimum": 1, "default": 1000},
        "redis_ssl": {"type": "boolean", "default": False},
        "redis_ssl_verify": {"type": "boolean", "default": False},
        "redis_keepalive_timeout": {"type": "integer", "minimum": 1000, "default": 10000},
        "redis_keepalive_pool": {"type": "integer", "minimum": 1, "default": 100},
    },
    "required": ["redis_host"],
}
_CLUSTER: Schema = {
    "properties": {
        "redis_cluster_nodes": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "minLength": 2, "maxLength": 100},
        },
        "redis_password": {"type": "string", "minLength": 0},
        "redis_timeout": {"type": "integer", "minimum": 1, "default": 1000},
        "redis_cluster_name": {"type": "string"},
        "redis_cluster_ssl": {"type": "boolean", "default": False},
        "redis_cluster_ssl_verify": {"type": "boolean", "default": False},
        "redis_keepalive_timeout": {"type": "integer", "minimum": 1000, "default": 10000},
        "redis_keepalive_pool": {"type": "integer", "minimum": 1, "default": 100},
    },
    "required": ["redis_cluster_nodes", "redis_cluster_name"],
}
_SENTINEL: Schema = {
    "properties": {
        "redis_sentinels": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "host": {"type": "string", "minLength": 2},
                    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                },
                "required": ["host", "port"],
                "additionalProperties": False,
            },
        },
        "redis_master_name": {"type": "string", "minLength": 1},
        "redis_role": {"type": "string", "enum": ["master", "slave"], "default": "master"},
        "redis_username": {"type": "string", "minLength": 1},
        "redis_password": {"type": "string", "minLength": 0},
        "sentinel_username": {"type": "string", "minLength": 1},
        "sentinel_password": {"type": "string", "minLength": 0},
        "redis_database": {"type": "integer", "minimum": 0, "default": 0},
        "redis_connect_timeout": {"type": "integer", "minimum": 1, "default": 1000},
        "redis_read_timeout": {"type": "integer", "minimum": 1, "default": 1000},
        "redis_keepalive_timeout": {"type": "integer", "minimum": 1, "default": 60000},
    },
    "required": ["redis_sentinels", "redis_master_name"],
}
SECRETS = ("redis_password", "sentinel_password")


def by_policy(schema: Schema, *, sentinel: bool = True, extra: Schema | None = None) -> Schema:
    """A plugin's schema with the options that its policy needs; `extra` adds properties to every policy."""
    redis, cluster = _with(REDIS, extra), _with(_CLUSTER, extra)
    other: Schema = {"if": _policy("redis-cluster"), "then": cluster}
    if sentinel:
        other["else"] = {"if": _policy("redis-sentinel"), "then": _SENTINEL}
    return {**schema, "if": _policy("redis"), "then": redis, "else": other}


def policy_problem(conf: dict[str, Any]) -> str | None:
    """Which policy is not to be had here, or None."""
    policy = conf.get("policy", "local")
    return None if policy in ("local", "redis") else f"policy {policy} is not supported by this gateway"


def address_of(conf: dict[str, Any]) -> RedisAddress:
    """The Redis of a configuration whose policy is `redis`."""
    return RedisAddress(
        host=conf["redis_host"],
        port=conf.get("redis_port", 6379),
        database=conf.get("redis_database", 0),
        username=conf.get("redis_username"),
        password=conf.get("redis_password") or None,
        timeout_s=conf.get("redis_timeout", 1000) / 1000,
        tls=conf.get("redis_ssl", False),
        verify=conf.get("redis_ssl_verify", False),
    )


def _policy(name: str) -> Schema:
    return {"properties": {"policy": {"enum": [name]}}}


def _with(schema: Schema, extra: Schema | None) -> Schema:
    return {**schema, "properties": {**schema["properties"], **(extra or {})}}
