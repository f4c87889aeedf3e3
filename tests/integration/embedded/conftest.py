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


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackProcess]:
    """A stack that runs, for the tests of a module that leave it as it is."""
    with stack_in(tmp_path_factory.mktemp("running") / "home") as stack:
        stack.start()
        yield stack
