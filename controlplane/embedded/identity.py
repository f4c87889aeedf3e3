"""Who a part runs as.

Postgres refuses to run as root. Root therefore runs it inside a user namespace, where its files stay its own
and the process is not root; where namespaces are refused, as a user without privileges.
"""

import ctypes
import os
import pwd
import signal
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x1000_0000


class Kind(StrEnum):
    """`same` changes nothing, `namespace` is a uid of a user namespace, `user` is a uid of the machine."""

    SAME = "same"
    NAMESPACE = "namespace"
    USER = "user"


@dataclass(frozen=True)
class Identity:
    """Whom a process turns into just before it becomes the part."""

    kind: Kind = Kind.SAME
    uid: int = 0

    @classmethod
    def parse(cls, text: str) -> "Identity":
        kind, _, uid = text.partition(":")
        return cls(Kind(kind), int(uid))

    def __str__(self) -> str:
        return f"{self.kind}:{self.uid}"

    @property
    def owner(self) -> int:
        """The user that files of this part belong to."""
        return self.uid if self.kind is Kind.USER else os.geteuid()

    def assume(self) -> None:
        """Become this identity, for good. Only ever called between fork and exec."""
        if self.kind is Kind.NAMESPACE:
            _enter_user_namespace(self.uid)
        elif self.kind is Kind.USER:
            gid = pwd.getpwuid(self.uid).pw_gid
            os.setgroups([])
            os.setgid(gid)
            os.setuid(self.uid)


SAME = Identity()


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies. A change of identity after this undoes it."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Make every orphan below this process a child of it, so that none can slip away."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _enter_user_namespace(inner_uid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "the kernel refuses a user namespace")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{inner_uid} {outer_gid} 1")
    Path("/proc/self/uid_map").write_text(f"{inner_uid} {outer_uid} 1")


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
