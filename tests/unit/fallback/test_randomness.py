"""Randomness taken in portions, and templates that know what they need."""

from controlplane.fallback.runtime.randomness import BulkRandom
from controlplane.fallback.runtime.templates import template


def test_no_part_of_a_portion_is_given_out_twice() -> None:
    chance = BulkRandom()
    taken = [chance.getrandbits(128) for _ in range(1000)]
    assert len(set(taken)) == 1000


def test_numbers_are_of_the_size_that_was_asked_for() -> None:
    chance = BulkRandom()
    assert len(chance.randbytes(10_000)) == 10_000
    assert all(chance.getrandbits(3) < 8 for _ in range(100))
    assert all(0 <= chance.random() < 1 for _ in range(100))


def test_a_template_names_the_one_header_that_it_needs() -> None:
    assert template("scope:${http_x_team_id}").needs == "x-team-id"
    assert template("${http_x_team_id ?? all}").needs is None
    assert template("$http_a:$http_b").needs is None
    assert template("$remote_addr").needs is None
    assert template("plain").needs is None
