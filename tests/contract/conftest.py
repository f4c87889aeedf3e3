"""Gateways for the contract tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.declared import TARGETS, Declared, declared_on


@pytest.fixture(params=TARGETS)
async def declared(
    request: pytest.FixtureRequest, tmp_path: Path, valkey_url: str
) -> AsyncIterator[Declared]:
    """Our own gateway, and a real APISIX where there is one."""
    async with declared_on(request.param, tmp_path / "gateway", valkey_url) as made:
        yield made
