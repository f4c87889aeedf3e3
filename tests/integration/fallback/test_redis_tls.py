"""Counters in a Redis behind TLS: certificates are checked where that is asked for, and only there.

The Valkey of the tests speaks no TLS itself, so what ends it stands in front, as a proxy does.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fixtures.certificates import Authority
from tests.fixtures.cuttable import cuttable
from tests.integration.fallback.conftest import Bench
from tests.integration.fallback.redis_options import options_of
from tests.integration.fallback.test_redis_kinds import statuses

COUNT: dict[str, Any] = {"count": 2, "time_window": 3600, "rejected_code": 429}
CALLS: dict[str, Any] = {"name": "calls", "meter": "requests", "amount": 2, "window_s": 3600}


@dataclass(frozen=True)
class Counting:
    """A plugin that lets two calls pass, and what it answers where it cannot count."""

    plugin: str
    conf: dict[str, Any]
    closed: int


EACH = [
    Counting("limit-count", {**COUNT, "key": "http_who"}, 500),
    Counting(
        "token-budget",
        {"limits": [{**CALLS, "by": ["${http_who ?? nobody}"], "on_outage": "fail_closed"}]},
        503,
    ),
]


@pytest.fixture(params=EACH, ids=[each.plugin for each in EACH])
def counting(request: pytest.FixtureRequest) -> Counting:
    found: Counting = request.param
    return found


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.at(tmp_path / "authority")


Called = Callable[[str, bool], Awaitable[list[int]]]
"""Three calls, counted behind TLS with a certificate for this address; and whether it is to be checked."""


@pytest.fixture
def called(bench: Bench, valkey_url: str, authority: Authority, counting: Counting) -> Called:
    there = urlsplit(valkey_url)

    async def call(certified: str, verify: bool) -> list[int]:
        tls = authority.server(certified)
        async with cuttable(there.hostname or "", there.port or 0, tls) as line:
            options = options_of(valkey_url, policy="redis", redis_port=line.port, redis_ssl=True)
            conf = {**counting.conf, **options, "redis_ssl_verify": verify}
            await bench.route({counting.plugin: conf})
            return await statuses(bench, 3, who=f"{counting.plugin}-{line.port}")

    return call


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is one that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))


async def test_any_certificate_is_taken_where_none_is_to_be_checked(called: Called) -> None:
    assert await called("192.0.2.1", False) == [200, 200, 429]


@pytest.mark.usefixtures("trusted")
async def test_the_certificate_of_an_authority_that_is_trusted_is_taken(called: Called) -> None:
    assert await called("127.0.0.1", True) == [200, 200, 429]


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_address_is_refused(called: Called, counting: Counting) -> None:
    assert await called("192.0.2.1", True) == [counting.closed] * 3


async def test_a_certificate_of_an_unknown_authority_is_refused(called: Called, counting: Counting) -> None:
    assert await called("127.0.0.1", True) == [counting.closed] * 3
