"""The limits of accounts at providers, where token-budget holds them: one counter over all that use it.

Each queue counts those of its members that call the account, so a queue may have members of several.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from controlplane.core.desired import Provider, Queue
from controlplane.core.enforcement import nowhere, twin_problems
from controlplane.core.limits import Limit, Then
from controlplane.core.spec import Fallback
from controlplane.errors import Problem


@dataclass(frozen=True, slots=True)
class Account:
    """A limited account, and which calls of one queue (or of the account's own address) it counts."""

    provider: Provider
    members: tuple[str, ...] = ()
    """The members that call it; without any, all of them do."""
    falls_back: bool = False
    """Whether another member is tried when it is used up."""


def accounts_of(queue: Queue, providers: Mapping[str, Provider]) -> tuple[Account, ...]:
    """The limited accounts that the members of a queue call."""
    by_provider: dict[str, list[str]] = {}
    for member in queue.spec.members:
        by_provider.setdefault(member.provider, []).append(member.name)
    falls_back = Fallback.RATE_LIMITING in queue.spec.fallback
    found = []
    for name, members in by_provider.items():
        provider = providers.get(name)
        if provider is not None and provider.spec.limits:
            others = len(by_provider) > 1
            found.append(Account(provider, tuple(members) if others else (), others and falls_back))
    return tuple(found)


def limits_of(accounts: Iterable[Account]) -> list[Limit]:
    """All limits of some accounts."""
    return [limit for account in accounts for limit in account.provider.spec.limits]


def account_problems(provider: Provider) -> Iterator[Problem]:
    """What of a provider's limits token-budget could not hold; fields are named from the document's top."""
    paths = [f"providers.{provider.spec.name}.limits[{index}]" for index in range(len(provider.spec.limits))]
    declared = list(zip(paths, provider.spec.limits, strict=True))
    for path, limit in declared:
        if limit.by is not None:
            yield Problem(f"{path}.by", "everybody who calls an account shares its limits", "remove `by`")
        elif problem := nowhere(path, limit):
            yield problem
        elif limit.then is not Then.REJECT:
            remedy = "remove `then`; add rate_limiting to the `fallback` of each queue that should go on"
            yield Problem(f"{path}.then", "each queue says what follows when an account is used up", remedy)
    yield from twin_problems(declared)
