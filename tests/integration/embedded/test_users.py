"""The stack runs as root, as a normal user, and as root of a container that refuses namespaces."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.fixtures.stack_process import SMALL, StackProcess

ROOT_ONLY = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can become somebody else"
)
AS_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def test_postgres_is_never_root(stack: StackProcess) -> None:
    stack.start()
    status = Path(f"/proc/{stack.pid('postgres')}/uid_map").read_text().split()
    real_uid = psutil.Process(stack.pid("postgres")).uids().real
    assert real_uid != 0 or status[0] != "0"


@ROOT_ONLY
def test_a_normal_user_starts_the_same_stack(stack: StackProcess) -> None:
    if (
        shutil.which("setpriv") is None
        or subprocess.run([*AS_NOBODY, *usable_python()], check=False).returncode
    ):
        pytest.skip(f"the user nobody cannot run {sys.executable}")
    home = open_to_all(stack)
    os.chown(home, 65534, 65534)
    stack.environ["HOME"] = str(home)
    stack.command = (*AS_NOBODY, *SMALL)
    stack.start()
    assert psutil.Process(stack.pid("postgres")).username() == pwd.getpwuid(65534).pw_name
    stack.kill_part("postgres")


@ROOT_ONLY
def test_where_namespaces_are_refused_root_lends_postgres_to_a_user_without_privileges(
    stack: StackProcess,
) -> None:
    if subprocess.run([*AS_NOBODY, "test", "-x", sys.prefix], check=False).returncode:
        pytest.skip(f"the user nobody cannot reach {sys.prefix}")
    open_to_all(stack)
    stack.command = refusing_namespaces("0 0 65536")
    stack.start()
    assert psutil.Process(stack.pid("postgres")).uids().real == 65534
    assert (stack.home.folder / "postgres" / "data").stat().st_uid == 65534
    stack.kill_part("postgres")


@ROOT_ONLY
def test_where_there_is_no_other_user_either_the_error_asks_for_your_postgres(
    stack: StackProcess,
) -> None:
    stack.command = refusing_namespaces("0 0 1")
    stack.launch()
    said = stack.output()
    assert "Postgres refuses to run as root" in said
    assert "SLUICE_DATABASE_URL" in said


def usable_python() -> tuple[str, ...]:
    return (sys.executable, "-c", "import tests.fixtures.small_stack")


def refusing_namespaces(mapping: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.fixtures.without_namespaces", mapping, *SMALL)


def open_to_all(stack: StackProcess) -> Path:
    """Let every user reach the home, which lies in a folder of the test's own."""
    folder = stack.home.folder
    folder.mkdir()
    for above in (folder, *folder.parents):
        if above.stat().st_uid == os.geteuid() and above not in (Path("/"), Path("/tmp")):  # noqa: S108
            above.chmod(above.stat().st_mode | 0o011)
    return folder
