"""History on a running stack: what is exported changes nothing, and what is rolled back is enforced again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.stack_process import ctl
from tests.fixtures.whole_stack import WholeStack, whole_stack

CHAT = "/queues/support/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}
SMALL = [{"tokens": 20, "per": "1d"}]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WholeStack, str]]:
    folder: Path = tmp_path_factory.mktemp("history") / "home"
    with whole_stack(folder) as stack:
        key = stack.declare(limits=SMALL)
        stack.wait_until_converged(stack.newest_revision())
        yield stack, key


def called(stack: WholeStack, key: str) -> int:
    """The status of one call."""
    with stack.traffic(key) as client:
        return client.post(CHAT, json=HELLO).status_code


def test_what_is_exported_plans_to_nothing(world: tuple[WholeStack, str], tmp_path: Path) -> None:
    stack, key = world
    exported = ctl(stack.stack.environ, "export")
    assert exported.returncode == 0, exported.stderr
    for secret in (key, "sk-mock"):
        assert secret not in exported.stdout
    file = tmp_path / "queues.yaml"
    file.write_text(exported.stdout)
    planned = ctl(stack.stack.environ, "plan", "-f", str(file), "--prune", "--refresh")
    assert (planned.returncode, planned.stdout.strip()) == (0, "nothing to do"), planned.stderr


def test_a_rollback_is_enforced_and_gives_no_budget_back(world: tuple[WholeStack, str]) -> None:
    stack, key = world
    small = stack.newest_revision()
    answers = [called(stack, key) for _ in range(40)]
    assert answers[0] == 200
    assert answers[-1] == 429

    with stack.api() as api:
        api.patch("/queues/support", json={"limits": [{"tokens": 10**9, "per": "1d"}]}).raise_for_status()
        stack.wait_until_converged(stack.newest_revision())
        assert called(stack, key) == 200
        api.delete("/keys/key-of-support").raise_for_status()
    stack.wait_until_converged(stack.newest_revision())
    assert called(stack, key) == 401

    done = ctl(stack.stack.environ, "rollback", str(small), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    # The key opens the queue again, and what it has used is still used.
    assert called(stack, key) == 429
    checked = ctl(stack.stack.environ, "audit", "--verify")
    assert checked.returncode == 0, checked.stderr
