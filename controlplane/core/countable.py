"""What of the limits above queues a gateway can count, and what stands against the others."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from controlplane.core.abilities import WITH_BUDGETS, Abilities
from controlplane.core.durations import LONGEST_SECONDS
from controlplane.core.levels import OF_EVERYTHING, OF_TENANT, Level
from controlplane.core.limits import Limit, Meter, Mode, Then
from controlplane.core.platform import Platform
from controlplane.errors import Problem

_ON_QUEUES = "declare it on the queues"


def platform_problems(platform: Platform, abilities: Abilities) -> Iterator[Problem]:
    """What of a gateway's own limits it could not count; fields are named from the gateway's top."""
    found = [*owner_problems("", platform.limits, OF_EVERYTHING, abilities)]
    for tier, limits in platform.tiers.items():
        found += owner_problems(f"tiers.{tier}", limits, OF_TENANT, abilities)
    for item in found:
        yield Problem(item.field.removeprefix(".").replace(".limits[", "["), item.message, item.remedy)


def owner_problems(
    owner: str, limits: Sequence[Limit], levels: Mapping[str | None, Level], abilities: Abilities
) -> Iterator[Problem]:
    """What of an owner's limits a gateway of these abilities cannot count over all queues."""
    taken: Counter[tuple[object, ...]] = Counter()
    seen: dict[tuple[object, ...], str] = {}
    for index, limit in enumerate(limits):
        path = f"{owner}.limits[{index}]"
        if problem := _uncountable(path, limit, levels, abilities):
            yield problem
            continue
        whose = (limit.by, limit.value, limit.refill_per_s is None)
        if twin := seen.get((*whose, limit.window_s)):
            yield Problem(f"{path}.tokens", f"counts the same as {twin}", "keep the smaller one")
        elif levels[limit.by].place(limit, taken[whose]) is None:
            message = f"at most {taken[whose]} of these limits are counted {_among(limit)}"
            yield Problem(f"{path}.tokens", message, "remove one")
        taken[whose] += 1
        seen[*whose, limit.window_s] = f"limits[{index}]"


def _among(limit: Limit) -> str:
    if limit.value:
        return f"for {limit.by} {limit.value}"
    return f"with `by: {limit.by}`" if limit.by else "without `by`"


def _uncountable(
    path: str, limit: Limit, levels: Mapping[str | None, Level], abilities: Abilities
) -> Problem | None:
    if limit.meter is not Meter.TOKENS:
        message = f"a limit that spans queues counts tokens, and no {str(limit.meter).replace('_', ' ')}"
        return Problem(f"{path}.{limit.meter}", message, _ON_QUEUES)
    if limit.by not in levels:
        known = " or ".join(name for name in levels if name)
        remedy = f"remove `by`, or write {known}" if known else "remove `by`"
        return Problem(f"{path}.by", f"this limit cannot be divided by {limit.by}", remedy)
    if limit.refill_per_s is not None and not abilities.token_budget:
        message = "a stock APISIX has no buckets of tokens"
        remedy = f"use a window, such as `per: {_as_long(limit)}`, or {WITH_BUDGETS}"
        return Problem(f"{path}.refill_per_s", message, remedy)
    if limit.is_calendar or limit.mode is not Mode.FIXED or limit.strict:
        field_name = "strict" if limit.strict else "mode" if limit.mode is not Mode.FIXED else "per"
        message = "a limit that spans queues has a fixed window, such as `per: 1h`, or a bucket"
        return Problem(f"{path}.{field_name}", message, f"use one, or {_ON_QUEUES}")
    if limit.then is not Then.REJECT:
        return Problem(f"{path}.then", "a limit that spans queues rejects", "remove `then`")
    return None


def _as_long(limit: Limit) -> str:
    """The window in which a bucket fills up."""
    seconds = math.ceil(limit.amount / (limit.refill_per_s or 1))
    return f"{min(seconds, LONGEST_SECONDS)}s"
