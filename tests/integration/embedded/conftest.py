"""A small stack: the real Postgres, the real Valkey and the mock provider under the real supervisor."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.stack_process import StackProcess, stack_in


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackProcess]:
    """A stack that has not started yet."""
    with stack_in(tmp_path / "home") as stack:
        yield stack
