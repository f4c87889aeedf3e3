"""Fixtures of every test: see tests/fixtures/."""

from hypothesis import HealthCheck, settings

from tests.fixtures.effort import examples

# How long an example takes says something about the machine, and nothing about what is tested.
settings.register_profile(
    "patient",
    parent=settings.default,
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")

pytest_plugins = ["tests.fixtures.servers", "tests.fixtures.services", "tests.fixtures.stores"]
