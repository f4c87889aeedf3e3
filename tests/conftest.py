"""Fixtures of every test: see tests/fixtures/. What belongs to `make stories` is said here."""

from pathlib import Path

import pytest
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

pytest_plugins = [
    "tests.fixtures.authorities",
    "tests.fixtures.servers",
    "tests.fixtures.services",
    "tests.fixtures.stores",
]

HERE = Path(__file__).parent
# Whole stacks, processes that are killed, every role by every route: long, and last in `make test`.
STORIES = (
    "e2e",
    "integration/embedded",
    "integration/plan",
    "integration/api/test_access.py",
    "integration/api/test_openapi_holds.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path.is_relative_to(HERE / story) for story in STORIES):
            item.add_marker(pytest.mark.story)
