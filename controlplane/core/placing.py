"""A queue's limits among everything that they meet: placed, or told as what no gateway would enforce."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from controlplane.core.abilities import STOCK, Abilities
from controlplane.core.above import Above
from controlplane.core.accounts import Account
from controlplane.core.desired import DesiredState, Queue
from controlplane.core.enforcement import Placements, place
from controlplane.core.key_models import model_problems
from controlplane.core.memory import Memory
from controlplane.core.platform import NO_PLATFORM, Platform
from controlplane.core.spec import ProviderType, QueueSpec
from controlplane.core.standing import Standing
from controlplane.errors import Problem


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A queue's limits, placed, and those above it. Two of them are the same only if they are one."""

    queue: Queue
    placements: Placements
    above: tuple[Standing, ...]
    accounts: tuple[Account, ...]
    """The accounts whose limits are counted with them."""
    problems: tuple[Problem, ...]
    """What no gateway of these abilities would enforce; fields are named from the document's top."""


def place_among(queue: Queue, above: Above, abilities: Abilities, memory: Memory) -> Placed:
    """Place a queue's limits anew if anything changed that its objects depend on, but for who is let in."""
    desired, spec = above.desired, queue.spec
    providers = tuple([desired.providers.get(member.provider) for member in spec.members])
    tenant = desired.tenants.get(spec.tenant) if spec.tenant else None
    tiers = tuple(desired.tiers.values())
    inputs = (queue, providers, tenant, tiers, above.limits_keys_of(spec.name), abilities)
    return memory.recall("placed", f"queue {spec.name}", inputs, lambda: _placed(queue, above, abilities))


def _placed(queue: Queue, above: Above, abilities: Abilities) -> Placed:
    placements = place(queue.spec, abilities, counted_above=above.counts(queue))
    problems = _problems(queue, above, placements)
    return Placed(queue, placements, tuple(above.of_queue(queue)), above.accounts(queue), problems)


def _problems(queue: Queue, above: Above, placements: Placements) -> tuple[Problem, ...]:
    """What of a queue would not be enforced; fields are named from the document's top."""
    problems = (*placements.problems, *_unspoken(queue.spec, above.desired), *above.queue_problems(queue))
    top = f"queues.{queue.spec.name}"
    return tuple([Problem(f"{top}.{item.field}", item.message, item.remedy) for item in problems])


def unenforceable(
    desired: DesiredState,
    queues: Iterable[str] | None = None,
    abilities: Abilities = STOCK,
    platform: Platform = NO_PLATFORM,
) -> tuple[Problem, ...]:
    """Everything declared that a gateway would not enforce; fields are named from the document's top."""
    above = Above(desired, platform, abilities)
    found: list[Problem] = []
    for queue in desired.queues.values() if queues is None else [desired.queues[name] for name in queues]:
        placements = place(queue.spec, abilities, counted_above=above.counts(queue))
        found += _problems(queue, above, placements)
    return (*found, *above.problems(), *model_problems(desired))


def _unspoken(queue: QueueSpec, desired: DesiredState) -> Iterator[Problem]:
    """Members whose provider speaks none of the protocols that a queue offers."""
    for position, member in enumerate(queue.members):
        provider = desired.providers.get(member.provider)
        if provider is not None and provider.spec.type is ProviderType.BEDROCK:
            message = "bedrock speaks only Converse, which a queue's addresses do not offer"
            yield Problem(f"members[{position}].provider", message, "use a provider of another type")
