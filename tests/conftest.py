"""Fixtures of every test: see tests/fixtures/."""

pytest_plugins = ["tests.fixtures.servers", "tests.fixtures.services", "tests.fixtures.stores"]
