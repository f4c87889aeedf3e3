"""Conditions on variables: `[["post_arg.model", "==", "support"], ["http_x", "!", "in", ["a"]]]`.

They are compiled once; InvalidExpression says what is wrong with one in the words of APISIX's library.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any

from controlplane.fallback.lua_values import tonumber, tostring
from controlplane.fallback.runtime.context import Context
from controlplane.fallback.runtime.patterns import InvalidPattern, pattern
from controlplane.fallback.runtime.variables import variable

Condition = Callable[[Context], bool]

_LOGIC = ("AND", "OR", "!AND", "!OR")


class InvalidExpression(ValueError):
    """A condition that cannot be compiled."""


def compile_expression(rules: Any) -> Condition:  # whatever a user wrote
    """A function that says whether a request meets the rules; an empty list is met by all."""
    if not isinstance(rules, list):
        raise InvalidExpression("missing argument rule")
    if not rules:
        return lambda context: True
    first = rules[0]
    if not isinstance(first, list) and str(first).upper() not in _LOGIC:
        raise InvalidExpression("rule should be wrapped inside brackets")
    return _compile(rules)


def equality_on(rules: Any, name: str) -> str | None:  # whatever a user wrote
    """The text that a variable must equal for the rules to be met, if they say so on their first level."""
    if not isinstance(rules, list):
        return None
    for rule in rules:
        match rule:
            case [found, "==", str(value)] if found == name:
                return value
    return None


def _compile(rules: Sequence[Any]) -> Condition:
    if not isinstance(rules, list) or not rules:
        raise InvalidExpression("rule too short")
    first = rules[0]
    if isinstance(first, list):
        return _all([_compile(rule) for rule in rules])
    logic = str(first).upper()
    if logic not in _LOGIC:
        return _comparison(rules)
    if len(rules) <= 2:
        raise InvalidExpression("rule too short")
    parts = [_compile(rule) for rule in rules[1:]]
    joined = _any(parts) if logic.endswith("OR") else _all(parts)
    if logic.startswith("!"):
        return lambda context: not joined(context)
    return joined


def _all(parts: list[Condition]) -> Condition:
    if len(parts) == 1:
        return parts[0]

    def every(context: Context) -> bool:
        for part in parts:  # noqa: SIM110  all() would make a generator for every request
            if not part(context):
                return False
        return True

    return every


def _any(parts: list[Condition]) -> Condition:
    return lambda context: any(part(context) for part in parts)


def _comparison(rule: Sequence[Any]) -> Condition:
    reverse = False
    if len(rule) == 4:
        if rule[1] != "!":
            raise InvalidExpression("bad 'not' expression")
        reverse = True
        left, operator, right = rule[0], rule[2], rule[3]
    else:
        left, operator, right, *_ = [*rule, None, None, None]
        if len(rule) == 2:
            operator, right = "==", operator
    if not isinstance(left, str) or operator is None:
        raise InvalidExpression("invalid expression")
    operator = str(operator).lower()
    if operator not in _OPERATORS:
        raise InvalidExpression(f"invalid operator '{operator}'")
    test = _OPERATORS[operator](right)
    getter = variable(left)
    if reverse:
        return lambda context: not test(getter(context))
    return lambda context: test(getter(context))


Test = Callable[[Any], bool]


def _equal(right: Any) -> Test:
    if isinstance(right, int | float) and not isinstance(right, bool):
        return lambda left: tonumber(left) == right
    return lambda left: type(left) is type(right) and left == right


def _different(right: Any) -> Test:
    equal = _equal(right)
    return lambda left: not equal(left)


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Any], Test]:
    def make(right: Any) -> Test:
        bound = tonumber(right)

        def test(left: Any) -> bool:
            number = tonumber(left)
            return number is not None and bound is not None and compare(number, bound)

        return test

    return make


def _matching(flags: re.RegexFlag) -> Callable[[Any], Test]:
    def make(right: Any) -> Test:
        try:
            compiled = pattern(tostring(right), flags)
        except InvalidPattern:
            return lambda left: False
        return lambda left: left is not None and compiled.search(tostring(left)) is not None

    return make


def _in(right: Any) -> Test:
    values = right if isinstance(right, list) else []
    return lambda left: any(left == value for value in values)


def _has(right: Any) -> Test:
    return lambda left: isinstance(left, list) and any(value == right for value in left)


def _ip(right: Any) -> Test:
    ranges = right if isinstance(right, list) else [right]
    if not ranges or ranges == [""] or ranges == [None]:
        raise InvalidExpression("invalid ip address")
    try:
        networks = [ipaddress.ip_network(str(one), strict=False) for one in ranges]
    except ValueError:
        raise InvalidExpression("invalid ip address") from None

    def test(left: Any) -> bool:
        try:
            address = ipaddress.ip_address(str(left))
        except ValueError:
            return False
        return any(address in network for network in networks)

    return test


_OPERATORS: dict[str, Callable[[Any], Test]] = {
    "==": _equal,
    "~=": _different,
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    "~~": _matching(re.RegexFlag(0)),
    "~*": _matching(re.IGNORECASE),
    "in": _in,
    "has": _has,
    "ipmatch": _ip,
}
