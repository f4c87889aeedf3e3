"""The fields that objects and plugins of several kinds have."""

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"]

ID = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-_.]+$"},
        {"type": "integer", "minimum": 1},
    ]
}
NAME = {"type": "string", "minLength": 1, "maxLength": 256}
DESC = {"type": "string", "maxLength": 256}
LABELS = {
    "type": "object",
    "patternProperties": {
        ".*": {"type": "string", "pattern": r"^\S+$", "minLength": 1, "maxLength": 256},
    },
}
TIMESTAMP = {"type": "integer"}
METHOD = {"type": "string", "enum": METHODS}
HOST = {"type": "string", "pattern": r"^\*$|^\*?[0-9a-zA-Z-._\[\]:]+$"}
_IPV4_PART = r"([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
IP = [
    {"title": "IPv4", "type": "string", "format": "ipv4"},
    {
        "title": "IPv4/CIDR",
        "type": "string",
        "pattern": "^" + r"\.".join([_IPV4_PART] * 4) + "/([12]?[0-9]|3[0-2])$",
    },
    {"title": "IPv6", "type": "string", "format": "ipv6"},
    {
        "title": "IPv6/CIDR",
        "type": "string",
        "pattern": r"^([a-fA-F0-9]{0,4}:){1,8}(:[a-fA-F0-9]{0,4}){0,8}([a-fA-F0-9]{0,4})?/[0-9]{1,3}$",
    },
]
REMOTE_ADDR = {"type": "string", "anyOf": IP}
TIMEOUT = {
    "type": "object",
    "properties": {
        "connect": {"type": "number", "exclusiveMinimum": 0},
        "send": {"type": "number", "exclusiveMinimum": 0},
        "read": {"type": "number", "exclusiveMinimum": 0},
    },
    "required": ["connect", "send", "read"],
}
PLUGINS = {"type": "object"}
SCRIPT = {"type": "string", "minLength": 10, "maxLength": 100 * 1024}
URI = {"type": "string", "pattern": r"^[^\/]+:\/\/([\da-zA-Z.-]+|\[[\da-fA-F:]+\])(:\d+)?"}
META = {
    "type": "object",
    "properties": {
        "disable": {"type": "boolean"},
        "error_response": {"oneOf": [{"type": "string"}, {"type": "object"}]},
        "priority": {"type": "integer", "description": "priority of plugins by customized order"},
        "filter": {
            "type": "array",
            "description": "filter determines whether the plugin needs to be executed at runtime",
        },
        "pre_function": {
            "type": "string",
            "description": "function to be executed in each phase before execution of plugins. "
            "The pre_function will have access to two arguments: `conf` and `ctx`.",
        },
    },
    "additionalProperties": False,
}
