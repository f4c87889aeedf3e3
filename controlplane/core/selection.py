"""Which gateways serve which queues: a queue selects gateways by their labels, or is served by all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from controlplane.core.abilities import OURS, Abilities
from controlplane.core.desired import DesiredState
from controlplane.core.placing import unenforceable
from controlplane.core.spec import QueueSpec
from controlplane.errors import Problem

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Site:
    """What of a gateway decides which queues it serves, and which limits it can hold."""

    labels: Labels
    abilities: Abilities = OURS
    name: str = ""


def selects(queue: QueueSpec, labels: Labels) -> bool:
    """Whether a gateway with these labels serves the queue: it must have every label that is asked for."""
    return all(labels.get(name) == value for name, value in queue.gateways.items())


def served_at(desired: DesiredState, labels: Labels) -> DesiredState:
    """The state with only the queues that a gateway with these labels serves; keys are known everywhere."""
    queues = {name: queue for name, queue in desired.queues.items() if selects(queue.spec, labels)}
    return desired if len(queues) == len(desired.queues) else replace(desired, queues=queues)


def able(queue: QueueSpec, sites: Iterable[Site]) -> Abilities:
    """What at least one gateway that serves the queue can do; without one, nothing stands against it yet."""
    return able_anywhere(site for site in sites if selects(queue, site.labels))


def able_anywhere(sites: Iterable[Site]) -> Abilities:
    """What at least one gateway can do."""
    found = [site.abilities for site in sites]
    return reduce(Abilities.__or__, found) if found else OURS


def unenforced(desired: DesiredState, queues: Iterable[str], sites: Sequence[Site]) -> tuple[Problem, ...]:
    """What no gateway that serves a queue would enforce; fields are named from the document's top."""
    served: dict[tuple[int, ...], list[str]] = {}
    for name in queues:
        spec = desired.queues[name].spec
        where = tuple(place for place, site in enumerate(sites) if selects(spec, site.labels))
        served.setdefault(where, []).append(name)
    if not served:
        served[tuple(range(len(sites)))] = []
    found = [
        _unenforced_at(desired, names, [sites[each] for each in where]) for where, names in served.items()
    ]
    # What stands against limits above queues is found with every group.
    return tuple(dict.fromkeys(item for problems in found for item in problems))


def _unenforced_at(
    desired: DesiredState, queues: Sequence[str], sites: Sequence[Site]
) -> tuple[Problem, ...]:
    """The same of queues that all of these serve. They are named where another gateway would enforce it."""
    found = unenforceable(desired, queues, able_anywhere(sites))
    if not found or not sites:
        return found
    anywhere = set(unenforceable(desired, queues, OURS))
    names = ", ".join(sorted(site.name for site in sites))
    where = f"gateway {names}" if len(sites) == 1 else f"the gateways {names}"
    return tuple(
        Problem(item.field, f"cannot be enforced on {where}: {item.message}", item.remedy)
        if item.field.startswith("queues.") and item not in anywhere
        else item
        for item in found
    )


def served_nowhere(desired: DesiredState, sites: Sequence[Site]) -> dict[str, str]:
    """The queues that select no gateway there is, with what they ask for."""
    return {
        name: ", ".join(f"{label}={value}" for label, value in queue.spec.gateways.items())
        for name, queue in sorted(desired.queues.items())
        if queue.spec.gateways and not any(selects(queue.spec, site.labels) for site in sites)
    }
