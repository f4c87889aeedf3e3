"""Functions in Lua: what they can do to a call, and what they cannot do to the gateway."""

from pathlib import Path

import pytest

from tests.integration.fallback.conftest import Bench

TEMPLATES = Path(__file__).parents[3] / "templates" / "apisix" / "lua"


def pre(text: str, phase: str = "rewrite") -> dict[str, object]:
    return {"serverless-pre-function": {"phase": phase, "functions": [text]}}


async def test_a_function_answers_a_call_itself(bench: Bench) -> None:
    await bench.route(pre("return function(conf, ctx) return 418, {who = ctx.var.http_x_who} end"))
    reply = await bench.call(X_Who="ann")
    assert (reply.status_code, reply.json()) == (418, {"who": "ann"})
    await bench.route(pre("return function() ngx.status = 202 ngx.say('a', 'b') ngx.exit(500) end"))
    reply = await bench.call()
    assert (reply.status_code, reply.text) == (202, "ab\n")


async def test_headers_of_the_request_are_read_set_and_removed(bench: Bench) -> None:
    await bench.route(
        pre(
            """return function(conf, ctx)
                 local core = require('apisix.core')
                 core.request.set_header(ctx, 'X-Copy', core.request.header(ctx, 'X-One'))
                 core.request.set_header(ctx, 'X-One', nil)
                 ngx.req.set_header('X-Two', ngx.req.get_headers()['x-three'] or 'none')
                 ngx.req.clear_header('X-Gone')
               end"""
        )
    )
    await bench.call(X_One="1", X_Gone="1")
    seen = bench.mock.requests[-1].headers
    assert (seen["x-copy"], seen["x-two"]) == ("1", "none")
    assert "x-one" not in seen
    assert "x-gone" not in seen


async def test_the_json_of_a_request_is_read_and_changed_field_by_field(bench: Bench) -> None:
    await bench.route(
        pre(
            """return function(conf, ctx)
                 local core = require('apisix.core')
                 local body, problem = core.request.get_json_request_body_table(1000)
                 if not body then return 418, problem end
                 body.seen = type(body.nothing) == 'table' and body.missing == nil and body.user
                 body.nothing = nil
                 ngx.req.set_body_data(core.json.encode(body))
               end"""
        )
    )
    messages = [{"role": "user", "content": "hi"}]
    await bench.call(body={"messages": messages, "nothing": None, "user": "ü", "stop": []})
    sent = bench.mock.requests[-1].body
    assert {name: sent.get(name) for name in ("messages", "seen", "user", "stop")} == {
        "messages": messages,
        "seen": "ü",
        "user": "ü",
        "stop": [],
    }
    assert "nothing" not in sent
    large = await bench.call(body={"messages": messages, "user": "x" * 1000})
    assert large.status_code == 418
    assert "greater than the maximum size 1000" in large.json()["message"]
    assert (await bench.call(body=["no object"])).status_code == 418


async def test_a_function_may_give_a_request_another_body(bench: Bench) -> None:
    text = """return function() ngx.req.set_body_data('{"messages": [], "user": "made"}') end"""
    await bench.route(pre(text))
    await bench.call()
    assert bench.mock.requests[-1].body["user"] == "made"


async def test_the_answer_is_changed_in_its_own_phases(bench: Bench) -> None:
    text = "return function() ngx.status = 201 ngx.header['X-Made'] = 'here' ngx.header.x_gone = nil end"
    await bench.route(pre(text, "header_filter"))
    reply = await bench.call()
    assert (reply.status_code, reply.headers["x-made"]) == (201, "here")
    text = "return function() ngx.arg[1] = ngx.arg[1] and ngx.arg[1]:gsub('mock', 'Lua') end"
    await bench.route(pre(text, "body_filter"))
    assert "Hello from Lua" in (await bench.call()).text


async def test_what_our_own_functions_are_given_is_what_they_expect(bench: Bench) -> None:
    strip = (TEMPLATES / "strip_headers.lua").read_text()
    await bench.route(pre(strip))
    headers = {"X-Sluice-Member": "a", "x_sluice_queue": "b", "X_Sluice-Limit": "c", "X-Other": "d"}
    await bench.client.post("/chat", json={"messages": [{"role": "user", "content": "hi"}]}, headers=headers)
    seen = bench.mock.requests[-1].headers
    assert not [name for name in seen if "sluice" in name]
    assert seen["x-other"] == "d"


async def test_a_rejection_says_when_to_come_back(bench: Bench) -> None:
    limit = {"count": 1, "time_window": 60, "rejected_code": 429, "rejected_msg": "no"}
    retry = (TEMPLATES / "retry_after.lua").read_text()
    await bench.route(
        {
            "limit-count": limit,
            "serverless-post-function": {"phase": "header_filter", "functions": [retry]},
        }
    )
    assert "retry-after" not in (await bench.call()).headers
    reply = await bench.call()
    assert reply.status_code == 429
    assert 0 < int(reply.headers["retry-after"]) <= 60
    assert int(reply.headers["retry-after-ms"]) <= 60_000


async def test_a_function_that_fails_is_an_error_of_the_gateway_and_the_next_call_works(bench: Bench) -> None:
    await bench.route(pre("return function(conf, ctx) if ctx.var.arg_bad then error('no') end end"))
    assert (await bench.call("/chat?bad=1")).status_code == 500
    assert (await bench.call()).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        "while true do end",
        "pcall(function() while true do end end) while true do end",
        "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end",
        "local s = ('x'):rep(2e7) for i = 1, 1e9 do local t = s .. i end",
        "return ('a'):rep(5000):match(('a*'):rep(20) .. 'b')",
        "return string.find(('a'):rep(5000), ('a-'):rep(20) .. 'b')",
        "local function f() return f() end f()",
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
        "error(setmetatable({}, {__index = function() while true do end end}))",
        "return setmetatable({}, {__index = function() while true do end end})",
        "ngx.header.x = setmetatable({}, {__index = function() while true do end end}) ngx.header[{}] = 1",
    ],
)
async def test_a_function_that_takes_too_much_is_stopped(bench: Bench, body: str) -> None:
    await bench.route(pre(f"return function(conf, ctx) if ctx.var.arg_much then {body} end end"))
    assert (await bench.call("/chat?much=1")).status_code == 500
    assert (await bench.call()).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        "return 200, tostring(io)",
        "return 200, tostring(os.execute)",
        "return 200, tostring(debug)",
        "return 200, tostring(loadstring)",
        "return 200, tostring(string.dump)",
        "return 200, tostring(('').dump)",
        "return 200, tostring(getfenv)",
        "return 200, tostring(package)",
        "return 200, tostring(python)",
        "return 200, tostring(collectgarbage)",
        "return 200, tostring(select(2, pcall(require, 'ffi')) and nil)",
        "return 200, tostring(rawget(_G, 'jit'))",
    ],
)
async def test_a_function_has_nothing_of_the_machine_around_it(bench: Bench, body: str) -> None:
    await bench.route(pre(f"return function(conf, ctx) {body} end"))
    assert (await bench.call()).text == "nil"


async def test_the_gateways_own_objects_show_a_function_nothing(bench: Bench) -> None:
    text = "return function() return 200, tostring(pcall(function() return ngx.now.__globals__ end)) end"
    await bench.route(pre(text))
    assert (await bench.call()).text == "false"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("return 1", "only accept Lua function, the input code type is number"),
        ("return function(", "failed to loadstring: "),
        ("error('x')", "pcall error: "),
        ("while true do end", "pcall error: "),
        ("\x1bLJ\x02", "failed to loadstring: "),
    ],
)
async def test_a_text_that_is_no_function_is_refused(bench: Bench, text: str, problem: str) -> None:
    reply = await bench.put("routes/r1", {"uri": "/", "plugins": pre(text)}, status=400)
    assert problem in reply.json()["error_msg"]


async def test_what_a_function_remembers_is_its_own(bench: Bench) -> None:
    count = "return function() n = (n or 0) + 1 return 200, tostring(n) end"
    await bench.put("routes/r1", {"uri": "/one", "plugins": pre(count)})
    await bench.put("routes/r2", {"uri": "/two", "plugins": pre(count)})
    assert [(await bench.client.get(path)).text for path in ("/one", "/one", "/two")] == ["1", "2", "1"]
