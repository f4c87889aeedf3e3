"""What decides between the servers of a consistent hash."""

from controlplane.fallback.lua_values import tostring
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.templates import template
from controlplane.fallback.runtime.variables import variable


def hash_key(hash_on: str, key: str, context: Context) -> str:
    """The text that is hashed; where a request has no value for it, the client's address is."""
    value = None
    match hash_on:
        case "consumer":
            value = context.consumer.username if context.consumer is not None else None
        case "header":
            value = variable(f"http_{key}")(context)
        case "cookie":
            value = variable(f"cookie_{key}")(context)
        case "vars_combinations":
            text, resolved = template(key).resolve(context)
            value = text if resolved else None
        case _:
            value = variable(key)(context)
    return context.client_ip if value is None else tostring(value)
