"""Functions that need not be run: whenever we say so, running them changes nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.clock import ManualClock
from controlplane.fallback.http.headers import Headers
from controlplane.fallback.lua.sandbox import Sandbox
from controlplane.fallback.lua.shortcuts import Idle, idle_for
from controlplane.fallback.runtime.context import Context
from tests.unit.fallback.requests import request

TEMPLATES = Path(__file__).parents[3] / "templates" / "apisix" / "lua"

names = st.sampled_from(
    [
        *("authorization", "x-api-key", "x_api_key", "cookie", "x-goog_api-key", "accept", "x-sluice-levels"),
        *("x-sluice_scope", "x_sluice-limit", "x-sluice", "my-x-sluice-one", "apikey", "x_request_id"),
    ]
)


def known(name: str) -> tuple[str, Idle]:
    text = (TEMPLATES / name).read_text().strip()
    idle = idle_for(text)
    assert idle is not None, f"{name} was changed: its text has another fingerprint now"
    return text, idle


def state(context: Context) -> tuple[object, ...]:
    return list(context.headers.pairs()), list(context.response_headers.pairs()), context.status


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(ManualClock())


@given(found=st.lists(names, unique=True))
def test_headers_are_stripped_whenever_there_is_one_to_strip(sandbox: Sandbox, found: list[str]) -> None:
    text, idle = known("strip_headers.lua")
    context = request()
    context.headers = Headers.of([(name, "v") for name in found])
    before, is_idle = state(context), idle(context)
    assert sandbox.call(sandbox.compile(text), None, context) is None
    assert not is_idle or state(context) == before


def test_ordinary_headers_need_no_stripping() -> None:
    _, idle = known("strip_headers.lua")
    assert idle(request(authorization="Bearer k", user_agent="curl"))
    assert not idle(request(x_sluice_levels="1"))


@given(status=st.sampled_from([200, 400, 429, 500]), left=st.sampled_from(["0", "1"]))
def test_a_refusal_always_gets_its_headers(sandbox: Sandbox, status: int, left: str) -> None:
    text, idle = known("retry_after.lua")
    context = request()
    context.status = status
    context.response_headers.set("X-RateLimit-Remaining", left)
    context.response_headers.set("X-RateLimit-Reset", "7")
    before, is_idle = state(context), idle(context)
    assert sandbox.call(sandbox.compile(text), None, context) is None
    assert is_idle == (status != 429)
    assert (state(context) == before) == is_idle


def test_a_text_that_is_not_ours_is_run() -> None:
    text, _ = known("retry_after.lua")
    assert idle_for(text + " ") is None
