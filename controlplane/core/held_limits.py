"""How the limits of what comes or changes are held on the gateways, told line by line to whoever reads on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controlplane.core.abilities import Abilities
from controlplane.core.compiled import Compiled, report_of
from controlplane.core.declaring import DeclaredChange
from controlplane.core.enforcement import Enforcement
from controlplane.core.report import owner_report

_LIMITED = ("queue", "rule")


@dataclass(frozen=True, slots=True)
class HeldLimits:
    """The enforcement report of a plan: a line is made when it is read, and anew for each reader."""

    changes: Sequence[DeclaredChange]
    gateways: Sequence[Compiled]
    """What each gateway would get; limits are told as the first one that serves them holds them."""
    able: Abilities
    """What any of the gateways can do."""
    whole: bool
    """Whether limits may be told whoever they are for."""

    def __iter__(self) -> Iterator[Enforcement]:
        told: set[str] = set()
        owners = sorted((change.kind, change.name) for change in self.changes if change.kind in _LIMITED)
        for owner in owners:
            for line in report_of(*owner, self.gateways, whole=self.whole):
                told.add(line.path)
                yield line
        for line in owner_report(self.changes if self.gateways else (), self.able):
            if line.path not in told:
                yield line
