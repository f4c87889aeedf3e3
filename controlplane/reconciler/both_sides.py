"""What a gateway needs before and after a change: compiled whole, or only as far as the change goes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controlplane.core.affected import Part
from controlplane.core.compiled import Compiled
from controlplane.core.declaring import Wanted
from controlplane.core.desired import DesiredState
from controlplane.core.objects import Kind, ObjectKey

Compile = Callable[[DesiredState], Compiled]


@dataclass(frozen=True, slots=True)
class BothSides:
    """The objects before and after."""

    before: Compiled
    after: Compiled
    whole: bool = True

    def of_it(self, applied: Mapping[ObjectKey, str]) -> Mapping[ObjectKey, str]:
        """What was last written of these objects; where they are not all, nothing is said of the others."""
        if self.whole:
            return applied
        keys = {item.key for side in (self.before, self.after) for item in side.objects}
        return {key: applied[key] for key in keys & applied.keys()}


def compiled_whole(
    current: DesiredState, wanted: Wanted, compile_state: Compile, compile_after: Compile | None = None
) -> BothSides:
    """Everything there is; `compile_after` is for a gateway that changes as well."""
    after = (compile_after or compile_state)(wanted.state)
    return BothSides(compile_state(current) if wanted.changes else after, after)


def compiled_part(part: Part, compile_state: Compile) -> BothSides | None:
    """What the change can touch; None where it can touch more, and everything must be compiled."""
    before, after = (compile_state(state) for state in (part.before, part.after))
    if before.problems or after.problems:
        return None  # a problem may close what is not in the part
    shared = {item.key for item in before.objects if item.key.kind is Kind.SERVICE}
    if shared - {item.key for item in after.objects}:
        return None  # a service that the part needs no longer may be needed by others
    return BothSides(before.only(part.tells_of), after.only(part.tells_of), whole=False)
