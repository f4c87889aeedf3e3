"""The models that a key may be answered by: held by its consumer where the client chooses the model.

Where a queue's members name their models, the client chooses nothing: such a queue is refused to a key that
does not allow one of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controlplane.core.desired import DesiredState, Key
from controlplane.core.spec import KeySpec, QueueSpec
from controlplane.errors import Problem


@dataclass(frozen=True, slots=True)
class KeyModels:
    """What the consumer's function is told."""

    models: Mapping[str, bool]
    """The models that may be asked for."""
    fixed: Mapping[str, bool]
    """The queues where nobody asks for a model, by their ids."""


def models_of(key: Key, desired: DesiredState) -> KeyModels | None:
    """What a key's calls are checked for; None for a key that may use any model."""
    if not key.spec.models:
        return None
    queues = (desired.queues[name] for name in key.spec.queues if name in desired.queues)
    fixed = {queue.id.hex: True for queue in queues if not _client_chooses(queue.spec)}
    return KeyModels(dict.fromkeys(key.spec.models, True), fixed)


def model_problems(desired: DesiredState) -> Iterator[Problem]:
    """Keys that open a queue of another model; fields are named from the document's top."""
    for key in desired.keys.values():
        for name in key.spec.queues if key.spec.models else ():
            queue = desired.queues.get(name)
            message = queue and not_allowed(key.spec, queue.spec)
            if message:
                remedy = "add the model, or leave the queue out"
                yield Problem(f"keys.{key.spec.name}.models", message, remedy)


def not_allowed(key: KeySpec, queue: QueueSpec) -> str | None:
    """Why a queue cannot be opened by a key, or None."""
    for member in queue.members:
        if member.model is not None and member.model not in key.models:
            whose = f"queue {queue.name}, member {member.name}"
            return f"{whose} answers with {member.model!r}, which is not among them"
    return None


def _client_chooses(queue: QueueSpec) -> bool:
    return any(member.model is None for member in queue.members)
