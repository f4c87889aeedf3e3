"""What is not done unless somebody says so: the refusals of a plan."""

from collections.abc import Sequence
from dataclasses import dataclass

MASS_DELETE_SHARE = 0.3
MASS_DELETE_FROM = 10
"""A prune that removes more than this share of its source, and at least so many objects, needs a flag."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a plan is not carried out: what it is about, the reason, and what to do next."""

    about: str
    message: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.about}: " if self.about else ""
        return f"{where}{self.message} ({self.remedy})"


def too_many(deletes: int, owned: int) -> bool:
    """Whether so many removals among so many objects need somebody to say so."""
    return deletes >= MASS_DELETE_FROM and deletes > owned * MASS_DELETE_SHARE


def prune_refusals(
    source: str, *, declared: int, owned: int, deletes: Sequence[str], allow_mass_delete: bool
) -> tuple[Refusal, ...]:
    """What stands against a prune, given how much its file declares, its source owns and it would remove."""
    if declared == 0:
        message = "the file declares nothing, and a prune would remove everything that its source declared"
        return (Refusal("", message, "leave --prune out, or delete the objects one by one"),)
    count = len(deletes)
    if allow_mass_delete or not too_many(count, owned):
        return ()
    message = f"the prune would remove {count} of the {owned} objects of source {source!r}"
    return (Refusal("", message, "--allow-mass-delete agrees to that"),)
