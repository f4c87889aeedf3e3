"""The arithmetic of `cost_expr`: what a call costs, computed from the usage that its provider reports."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

MOST_LENGTH = 1000
MOST_DEPTH = 50

Number = int | float

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: lambda left, right: math.pow(left, right),
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "max": max,
    "min": min,
    "sqrt": math.sqrt,
}
_CONSTANTS: dict[str, float] = {"pi": math.pi, "huge": math.inf}


class InvalidCost(ValueError):
    """An expression that is no arithmetic, or that has no finite result."""


class CostExpression:
    """A checked expression. Names are fields of the usage; a field that is missing is 0."""

    def __init__(self, text: str) -> None:
        if len(text) > MOST_LENGTH:
            raise InvalidCost("the expression is too long")
        try:
            # Lua writes a power with a caret, and Python reads that as something else.
            tree = ast.parse(text.strip().replace("^", "**").replace("~=", "!="), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InvalidCost(f"unexpected symbol: {error}") from None
        self._root = tree.body
        _check(self._root, 0)

    def cost(self, usage: Mapping[str, Any]) -> int:
        """The cost, rounded, never below zero."""
        try:
            result = _evaluate(self._root, usage)
        except (ArithmeticError, ValueError, TypeError) as error:
            raise InvalidCost(f"failed to evaluate cost_expr: {error}") from None
        if isinstance(result, bool):
            raise InvalidCost("cost_expr returned no number")
        if not math.isfinite(result):
            raise InvalidCost("cost_expr returned non-finite value")
        return max(0, math.floor(result + 0.5))


def _check(node: ast.AST, depth: int) -> None:
    """Refuse everything that is not arithmetic on numbers and names."""
    if depth > MOST_DEPTH:
        raise InvalidCost("the expression is nested too deeply")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return
        case ast.Name():
            return
        case ast.Attribute(value=ast.Name(id="math"), attr=name) if name in _FUNCTIONS or name in _CONSTANTS:
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, depth + 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check(left, depth + 1)
            _check(right, depth + 1)
        case ast.BoolOp(values=values):
            for each in values:
                _check(each, depth + 1)
        case ast.Compare(left=left, ops=[comparison], comparators=[right]) if (
            type(comparison) in _COMPARISONS
        ):
            _check(left, depth + 1)
            _check(right, depth + 1)
        case ast.Call(func=function, args=[_, *_] as arguments, keywords=[]):
            _function(function)
            for argument in arguments:
                _check(argument, depth + 1)
        case _:
            raise InvalidCost(f"unexpected {type(node).__name__} in an arithmetic expression")


def _function(node: ast.AST) -> Callable[..., Number]:
    match node:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="math"), attr=name) if name in _FUNCTIONS:
            return _FUNCTIONS[name]
        case _:
            raise InvalidCost("only abs, ceil, floor, max, min and sqrt can be called")


def _evaluate(node: ast.AST, usage: Mapping[str, Any]) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name):
            reported = usage.get(name)
            return reported if isinstance(reported, int | float) and not isinstance(reported, bool) else 0
        case ast.Attribute(attr=name):
            return _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=operand):
            value = _number(operand, usage)
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right):
            result: Number = _OPERATORS[type(op)](_number(left, usage), _number(right, usage))
            return result
        case ast.BoolOp(op=op, values=[*first, last]):
            # As in Lua every number counts as true, and the value that decides is the result.
            for each in first:
                found = _evaluate(each, usage)
                if (found is False) == isinstance(op, ast.And):
                    return found
            return _evaluate(last, usage)
        case ast.Compare(left=left, ops=[comparison], comparators=[right]):
            return _COMPARISONS[type(comparison)](_number(left, usage), _number(right, usage))
        case ast.Call(func=function, args=arguments):
            return _function(function)(*(_number(argument, usage) for argument in arguments))
        case _:
            raise InvalidCost("not an arithmetic expression")


def _number(node: ast.AST, usage: Mapping[str, Any]) -> Number:
    """The value of what must be a number: nothing can be computed with true and false."""
    value = _evaluate(node, usage)
    if isinstance(value, bool):
        raise InvalidCost("cost_expr computes with a comparison")
    return value
