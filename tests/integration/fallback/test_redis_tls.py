"""Counters in a Redis behind TLS: certificates are checked where that is asked for, and only there.

The Valkey of the tests speaks no TLS itself, so what ends it stands in front, as a proxy does.
"""

import ssl
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
PLUGINS = [
    ("limit-count", {**COUNT, "key": "http_who"}, 500),
    (
        "token-budget",
        {"limits": [{**CALLS, "by": ["${http_who ?? nobody}"], "on_outage": "fail_closed"}]},
        503,
    ),
]
each_plugin = pytest.mark.parametrize(
    ("plugin", "conf", "closed"), PLUGINS, ids=[name for name, _, _ in PLUGINS]
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.at(tmp_path / "authority")


async def called(
    bench: Bench, valkey_url: str, tls: ssl.SSLContext, plugin: str, conf: dict[str, Any], *, verify: bool
) -> list[int]:
    """What three calls are answered that are counted behind TLS."""
    there = urlsplit(valkey_url)
    async with cuttable(there.hostname or "", there.port or 0, tls) as line:
        options = options_of(valkey_url, policy="redis", redis_port=line.port, redis_ssl=True)
        await bench.route({plugin: {**conf, **options, "redis_ssl_verify": verify}})
        return await statuses(bench, 3, who=f"{plugin}-{line.port}")


@each_plugin
async def test_any_certificate_is_taken_where_none_is_to_be_checked(
    bench: Bench, valkey_url: str, authority: Authority, plugin: str, conf: dict[str, Any], closed: int
) -> None:
    tls = authority.server("192.0.2.1")
    assert await called(bench, valkey_url, tls, plugin, conf, verify=False) == [200, 200, 429]


@each_plugin
async def test_the_certificate_of_an_authority_that_is_trusted_is_taken(
    bench: Bench,
    valkey_url: str,
    authority: Authority,
    plugin: str,
    conf: dict[str, Any],
    closed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    tls = authority.server("127.0.0.1")
    assert await called(bench, valkey_url, tls, plugin, conf, verify=True) == [200, 200, 429]


@each_plugin
@pytest.mark.parametrize("trusted", [True, False], ids=["for another address", "of an unknown authority"])
async def test_any_other_certificate_is_refused(
    bench: Bench,
    valkey_url: str,
    authority: Authority,
    plugin: str,
    conf: dict[str, Any],
    closed: int,
    trusted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    tls = authority.server("192.0.2.1" if trusted else "127.0.0.1")
    assert await called(bench, valkey_url, tls, plugin, conf, verify=True) == [closed] * 3
