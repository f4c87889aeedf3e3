"""A document that was sent, and the plan that was made of it."""

from dataclasses import dataclass, field

from controlplane.api.known import Name
from controlplane.api.plan_views import brief_view, plan_view
from controlplane.api.views import Shown
from controlplane.core.redact import redacted, secrets_of
from controlplane.core.safety import Refusal
from controlplane.core.spec import Document
from controlplane.errors import PreconditionFailed
from controlplane.reconciler.planned import Planned


@dataclass(frozen=True, slots=True)
class PlannedDocument:
    """A plan with its document and their name."""

    document: Document = field(repr=False)
    plan: Planned
    name: Name

    def view(self) -> Shown:
        """The plan as it is told: nothing of it repeats a secret of the document."""
        return self._redacted(plan_view(self.plan, self.name.document))

    def brief_view(self) -> Shown:
        """The plan as it is told to somebody who has agreed to it, without those secrets too."""
        return self._redacted(brief_view(self.plan, self.name.document))

    def _redacted(self, view: Shown) -> Shown:
        told: Shown = redacted(view, set(secrets_of(self.document)))
        return told


def unopposed(refusals: tuple[Refusal, ...]) -> None:
    """Raises PreconditionFailed where something stands against a plan."""
    if refusals:
        first = refusals[0]
        about = f"{first.about}: " if first.about else ""
        raise PreconditionFailed(f"refused: {about}{first.message}", remedy=first.remedy)


def same(view: Shown, fingerprint: str | None) -> None:
    """Raises PreconditionFailed when this is not the plan that was agreed to."""
    if fingerprint is not None and fingerprint != view["fingerprint"]:
        raise PreconditionFailed(
            "the world has moved since the plan was made: it would be another plan now",
            remedy="plan again, and look at what is different",
        )
