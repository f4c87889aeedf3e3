"""The options that say which Redis a limiting plugin counts in."""

from typing import Any

from controlplane.fallback.counters.redis_cluster import ClusterAddress
from controlplane.fallback.counters.redis_connection import RedisAddress
from controlplane.fallback.counters.redis_hub import Address, Client, RedisHub
from controlplane.fallback.counters.redis_sentinel import SentinelAddress

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


def address_of(conf: dict[str, Any]) -> Address | None:
    """Where a configuration counts; None is this process."""
    match conf["policy"]:
        case "redis":
            return _server_of(conf)
        case "redis-cluster":
            return _cluster_of(conf)
        case "redis-sentinel":
            return _sentinel_of(conf)
        case _:
            return None


def client_of(conf: dict[str, Any], hub: RedisHub) -> Client | None:
    """The client of where a configuration counts; None is this process."""
    address = address_of(conf)
    return hub.client(address) if address is not None else None


def _server_of(conf: dict[str, Any]) -> RedisAddress:
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


def _cluster_of(conf: dict[str, Any]) -> ClusterAddress:
    seeds = []
    for node in conf["redis_cluster_nodes"]:
        host, colon, port = str(node).rpartition(":")
        seeds.append(
            RedisAddress(
                host=host if colon else node,
                port=int(port) if colon and port.isdigit() else 6379,
                password=conf.get("redis_password") or None,
                timeout_s=conf.get("redis_timeout", 1000) / 1000,
                tls=conf.get("redis_cluster_ssl", False),
                verify=conf.get("redis_cluster_ssl_verify", False),
            )
        )
    return ClusterAddress(tuple(seeds))


def _sentinel_of(conf: dict[str, Any]) -> SentinelAddress:
    timeout_s = conf.get("redis_connect_timeout", 1000) / 1000
    sentinels = tuple(
        RedisAddress(
            host=one["host"],
            port=one["port"],
            username=conf.get("sentinel_username"),
            password=conf.get("sentinel_password") or None,
            timeout_s=timeout_s,
        )
        for one in conf["redis_sentinels"]
    )
    member = RedisAddress(
        host="",
        database=conf.get("redis_database", 0),
        username=conf.get("redis_username"),
        password=conf.get("redis_password") or None,
        timeout_s=max(timeout_s, conf.get("redis_read_timeout", 1000) / 1000),
    )
    replica = conf.get("redis_role", "master") == "slave"
    return SentinelAddress(sentinels, conf["redis_master_name"], member, replica)


def _policy(name: str) -> Schema:
    return {"properties": {"policy": {"enum": [name]}}}


def _with(schema: Schema, extra: Schema | None) -> Schema:
    return {**schema, "properties": {**schema["properties"], **(extra or {})}}
