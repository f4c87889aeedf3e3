"""A service for `ctl` to talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.stand_in import StandIn, serving


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """A service that answers what the test says, known to `ctl` by its settings."""
    service = StandIn()
    with serving(service):
        monkeypatch.setenv("SLUICE_URL", service.url)
        monkeypatch.setenv("SLUICE_TOKEN", "a-token")
        monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
        yield service
