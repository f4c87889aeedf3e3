"""What the probes say about a server that cannot be used."""

from urllib.parse import urlsplit

import pytest

from controlplane.embedded.probes import http_problem, postgres_problem, redis_problem
from tests.fixtures.free_ports import free_ports


async def test_a_server_that_can_be_used_has_no_problem(postgres_url: str, valkey_url: str) -> None:
    assert await postgres_problem(postgres_url) is None
    assert await redis_problem(valkey_url) is None


async def test_a_postgres_url_may_name_a_driver_as_sqlalchemy_has_it(postgres_url: str) -> None:
    assert await postgres_problem(postgres_url.replace("postgresql:", "postgresql+asyncpg:")) is None


async def test_a_database_that_is_not_there_is_named(postgres_url: str) -> None:
    url = urlsplit(postgres_url)._replace(path="/absent").geturl()
    assert await postgres_problem(url) == 'database "absent" does not exist'


async def test_a_wrong_password_is_said_to_be_wrong(postgres_url: str, valkey_url: str) -> None:
    words = await postgres_problem(with_password(postgres_url, "guess"))
    assert words == 'password authentication failed for user "sluice"'
    assert "invalid username-password pair" in (await redis_problem(with_password(valkey_url, "guess")) or "")


@pytest.mark.parametrize("url", ["nonsense", "mysql://me@127.0.0.1/db", "redis://127.0.0.1:port"])
async def test_a_url_that_is_none_is_a_problem_and_no_crash(url: str) -> None:
    assert await postgres_problem(url)
    assert await redis_problem(url)
    assert await http_problem(url)


async def test_a_port_that_nobody_listens_on_is_a_problem() -> None:
    [port] = free_ports(1)
    for problem in (postgres_problem, redis_problem, http_problem):
        assert "111" in (await problem(f"{SCHEMES[problem.__name__]}://127.0.0.1:{port}/0") or "")


SCHEMES = {"postgres_problem": "postgresql", "redis_problem": "redis", "http_problem": "http"}


def with_password(url: str, password: str) -> str:
    address = urlsplit(url)
    user, _, host = address.netloc.rpartition("@")
    return address._replace(netloc=f"{user.partition(':')[0]}:{password}@{host}").geturl()
