"""What stands against a plan on gateways, and what stands against others alone."""

from controlplane.core.declaring import Wanted, declare
from controlplane.core.desired import DesiredState
from controlplane.core.spec import Document
from controlplane.errors import Problem
from controlplane.reconciler.plan_checks import Concern
from controlplane.reconciler.planned import GatewayPlan
from controlplane.store.records import GatewayStatus

HELD = Problem("queues.held.limits[0].tokens", "cannot be held", "use another gateway")


def document(source: str, queue: str, timeout_s: float = 60) -> Document:
    member = {"name": "main", "provider": "own"}
    return Document.model_validate(
        {
            "source": source,
            "providers": [{"name": f"own-{source}", "type": "openai"}],
            "queues": [{"name": queue, "members": [member], "timeout_s": timeout_s}],
        }
    )


def wanted(*documents: Document) -> Wanted:
    """What the last of some documents changes, applied one after the other."""
    made = Wanted(DesiredState())
    for each in documents:
        made = declare(each, made.state, lambda _: "")
    return made


def told(made: Wanted, source: str, *, stood: bool) -> tuple[int, int]:
    """How many refusals, and how many warnings."""
    gateway = GatewayPlan("edge", GatewayStatus(), problems=(HELD,), stood=frozenset({HELD} if stood else ()))
    concern = Concern(made, source)
    return len(concern.refused([gateway])), len(concern.beside([gateway]))


def test_what_stood_before_and_is_somebody_else_s_is_beside_the_plan() -> None:
    made = wanted(document("a", "held"), document("b", "mine"))
    assert told(made, "b", stood=True) == (0, 1)


def test_what_the_plan_brings_about_is_refused_whose_ever_it_is() -> None:
    made = wanted(document("a", "held"), document("b", "mine"))
    assert told(made, "b", stood=False) == (1, 0)


def test_what_the_source_declares_itself_is_refused_though_nothing_changes() -> None:
    made = wanted(document("a", "held"), document("a", "held"))
    assert not made.changes
    assert told(made, "a", stood=True) == (1, 0)


def test_a_plan_of_nobody_in_particular_is_held_up_by_what_it_changes_alone() -> None:
    made = wanted(document("a", "held"), document("a", "held", timeout_s=30))
    assert told(made, "", stood=True) == (1, 0)
    assert told(wanted(document("a", "held"), document("a", "held")), "", stood=True) == (0, 1)
