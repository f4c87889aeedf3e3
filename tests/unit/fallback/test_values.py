"""Variables, texts with variables, conditions and checksums."""

from typing import Any

import pytest

from controlplane.fallback.http.headers import Headers, ResponseHeaders
from controlplane.fallback.lua_values import tonumber, tostring
from controlplane.fallback.plugins.cost_expression import CostExpression, InvalidCost
from controlplane.fallback.runtime.address import InvalidAddress, parse
from controlplane.fallback.runtime.expressions import InvalidExpression, compile_expression
from controlplane.fallback.runtime.stable_json import stable_json
from controlplane.fallback.runtime.templates import template
from controlplane.fallback.runtime.variables import variable
from tests.unit.fallback.requests import request, with_body


@pytest.mark.parametrize(
    ("text", "value", "resolved"),
    [
        ("plain", "plain", 0),
        ("$http_x_team", "red", 1),
        ("team-$http_x_team", "team-red", 1),
        ("${http_x_team}-end", "red-end", 1),
        ("$http_x_none", "", 0),
        ("${http_x_none ?? 7}", "7", 1),
        ("${http_x_team ?? 7}", "red", 1),
        ("$http_x_team:$remote_addr", "red:192.0.2.7", 2),
        ("a $uri b $arg_q", "a /p b 1", 2),
        (r"\$uri", r"\$uri", 0),
        ("$request_method $host", "POST gateway.test", 2),
    ],
)
def test_variables_are_put_into_texts(text: str, value: str, resolved: int) -> None:
    context = request("/p?q=1", x_team="red")
    assert template(text).resolve(context) == (value, resolved)


def test_a_header_is_the_same_with_dashes_and_underscores() -> None:
    headers = Headers.of([("X-Foo", "1"), ("x_foo", "2"), ("X-foo", "3")])
    assert headers.variable("x_foo", "x-foo") == "1, 3, 2"
    assert Headers.of([("X-Foo", "1")]).variable("x_foo", "x-foo") == "1"


def test_a_response_header_cannot_smuggle_another_one() -> None:
    headers = ResponseHeaders()
    headers.set("X-A", "1\r\nX-B: 2")
    headers.add("X-C\nD", "3\n4")
    assert [pair for pair in headers.pairs() if "\n" in pair[0] + pair[1] or "\r" in pair[0] + pair[1]] == []


@pytest.mark.parametrize(
    ("rules", "met"),
    [
        ([], True),
        ([["post_arg.model", "==", "m"]], True),
        ([["post_arg.model", "==", "n"]], False),
        ([["post_arg.deep.er", "==", 3]], True),
        ([["post_arg.model", "!", "==", "n"]], True),
        ([["post_arg.model", "~=", "n"]], True),
        ([["arg_n", ">", 4]], True),
        ([["arg_n", "<=", "5"]], True),
        ([["arg_n", "<", 5]], False),
        ([["uri", "~~", "^/p"]], True),
        ([["uri", "~*", "^/P"]], True),
        ([["http_x_team", "in", ["blue", "red"]]], True),
        ([["post_arg.list", "has", "b"]], True),
        ([["remote_addr", "ipmatch", ["192.0.2.0/24"]]], True),
        ([["remote_addr", "!", "ipmatch", ["192.0.2.0/24"]]], False),
        (["OR", ["arg_n", "==", 1], ["http_x_team", "==", "red"]], True),
        (["AND", ["arg_n", "==", 5], ["http_x_team", "==", "blue"]], False),
        (["!OR", ["arg_n", "==", 1], ["http_x_team", "==", "blue"]], True),
        ([["http_x_none", "==", "x"]], False),
        ([["http_x_none", "!", "==", "x"]], True),
    ],
)
async def test_conditions_are_met_or_not(rules: list[Any], met: bool) -> None:
    body = {"model": "m", "deep": {"er": 3}, "list": ["a", "b"]}
    context = await with_body(request("/p?n=5", body=body, x_team="red"))
    assert compile_expression(rules)(context) is met


@pytest.mark.parametrize(
    "rules",
    [
        None,
        "x",
        ["uri", "==", "/"],
        [["uri"]],
        [["uri", "??", 1]],
        [[1, "==", 1]],
        ["OR", ["uri", "==", 1]],
        [["uri", "not", "==", 1]],
        [["remote_addr", "ipmatch", ["nowhere"]]],
        [[]],
    ],
)
def test_conditions_that_make_no_sense_are_refused(rules: Any) -> None:
    with pytest.raises(InvalidExpression):
        compile_expression(rules)


async def test_a_field_of_a_body_that_is_no_json_has_no_value() -> None:
    plain = await with_body(request(raw=b'{"model":"m"}'))
    broken = await with_body(request(raw=b"{", content_type="application/json"))
    assert variable("post_arg.model")(plain) is None
    assert variable("post_arg.model")(broken) is None


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a//b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a%2Fb", "/a/b"),
        ("/a/b/..", "/a/"),
        ("http://x/y?z", "/y"),
        ("/%E2%82%AC", "/€"),
        ("/a?b=../c", "/a"),
    ],
)
def test_a_path_is_normalized_before_it_is_matched(target: str, path: str) -> None:
    assert parse(target).path == path


@pytest.mark.parametrize("target", ["/..", "/a/../..", "*", "/%00", "/%2e%2e/x", "ftp://x/"])
def test_a_path_that_climbs_out_or_is_none_is_refused(target: str) -> None:
    with pytest.raises(InvalidAddress):
        parse(target)


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("prompt_tokens + 2 * completion_tokens", 50),
        ("(prompt_tokens - missing) / 4", 3),
        ("prompt_tokens ^ 2 % 7", 2),
        ("max(prompt_tokens, completion_tokens, 3)", 20),
        ("math.ceil(completion_tokens / 3) + math.floor(1.5)", 8),
        ("-prompt_tokens", 0),
        ("0.4", 0),
        ("0.5", 1),
        ("prompt_tokens > 5 and completion_tokens or 1", 20),
        ("prompt_tokens > 50 and completion_tokens or 1", 1),
        ("missing or 7", 0),
        ("prompt_tokens ~= 10 or prompt_tokens == 10 and 3", 3),
    ],
)
def test_a_cost_is_computed_from_what_was_used(text: str, cost: int) -> None:
    assert CostExpression(text).cost({"prompt_tokens": 10, "completion_tokens": 20, "note": "x"}) == cost


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a.b",
        "__import__('os')",
        "a[0]",
        "(lambda: 1)()",
        "print(1)",
        "'text'",
        "math.pow",
        "a if b else c",
        "max()",
        "+" * 600 + "1",
        "1" * 1001,
        "True",
        "1 < 2 < 3",
        "a is b",
        "not a",
    ],
)
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(InvalidCost):
        CostExpression(text)


@pytest.mark.parametrize(
    "text", ["1 / 0", "math.huge", "10 ^ 400", "sqrt(0 - 1)", "1 % 0", "1 < 2", "1 + (1 < 2)"]
)
def test_a_cost_without_a_result_is_an_error(text: str) -> None:
    with pytest.raises(InvalidCost):
        CostExpression(text).cost({})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "[]"),
        ([], "[]"),
        ({"b": 1, "a": [True, None, 1.5]}, '{"a":[true,null,1.5],"b":1}'),
        ('a/b"\\\n\x7f', '"a/b\\"\\\\\\n\\u007f"'),
        (1e15, "1e+15"),
        (3.0, "3"),
    ],
)
def test_json_for_checksums_is_written_as_apisix_writes_it(value: Any, text: str) -> None:
    assert stable_json(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (0.1, "0.1"), (True, "true"), (None, "nil"), (10**14, "1e+14"), (5, "5")]
)
def test_numbers_are_written_as_lua_writes_them(value: Any, text: str) -> None:
    assert tostring(value) == text


@pytest.mark.parametrize(
    ("value", "number"), [("10", 10), (" 1.5 ", 1.5), ("0x10", 16), ("1_0", None), ("", None), (True, None)]
)
def test_texts_are_numbers_where_lua_says_so(value: Any, number: float | None) -> None:
    assert tonumber(value) == number
